package weir.floor.name.typosquat_test

import data.weir.floor.name.typosquat
import data.weir.lib.fixture_test as fixture

test_findings[promise] if {
	some promise, case in _cases
	typosquat.findings == case.want with input as fixture.given(case.given) with data.settings as fixture.settings_of(case.policy)
}

_cases := {
	"an established look-alike is a warning": {"given": {"typosquat_distance": fixture.hit({"near": "lodash"})}, "policy": {}, "want": {fixture.finding("WEIR-TYPO-001", "warn", "typosquat", {"near": "lodash"})}},
	"a new look-alike is refused": {"given": {"typosquat_distance": fixture.hit({"near": "lodash"}), "new_package": fixture.hit({"days": 1})}, "policy": {}, "want": {fixture.finding("WEIR-TYPO-001", "deny", "typosquat", {"near": "lodash"})}},
	"a look-alike of unknown age waits for a person": {"given": {"typosquat_distance": fixture.hit({"near": "lodash"}), "new_package": fixture.unknown("publish_time_unknown")}, "policy": {}, "want": {fixture.finding("WEIR-TYPO-001", "pending", "typosquat", {"near": "lodash"})}},
	"a look-alike without evidence of age waits for a person": {"given": {"typosquat_distance": fixture.hit({"near": "lodash"}), "new_package": {}}, "policy": {}, "want": {fixture.finding("WEIR-TYPO-001", "pending", "typosquat", {"near": "lodash"})}},
	"a new package like no other is silent": {"given": {"new_package": fixture.hit({"days": 1})}, "policy": {}, "want": set()},
	"unknown distance is silent": {"given": {"typosquat_distance": fixture.unknown("not_in_bundle")}, "policy": {}, "want": set()},
	"hostile text is passed on as a fact": {"given": {"typosquat_distance": fixture.hit({"near": "\u001b[31m<script>{name}"})}, "policy": {}, "want": {fixture.finding("WEIR-TYPO-001", "warn", "typosquat", {"near": "\u001b[31m<script>{name}"})}},
}

test_a_look_alike_without_any_outcome_of_novelty_waits_for_a_person if {
	given := fixture.given_without("new_package", {"typosquat_distance": fixture.hit({"near": "lodash"})})
	[found] := [found | some found in typosquat.findings with input as given]
	found.level == "pending"
}
