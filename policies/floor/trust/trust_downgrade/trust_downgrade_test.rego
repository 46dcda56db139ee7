package weir.floor.trust.trust_downgrade_test

import data.weir.floor.trust.trust_downgrade
import data.weir.lib.fixture_test as fixture

test_findings[promise] if {
	some promise, case in _cases
	trust_downgrade.findings == case.want with input as fixture.given(case.given) with data.settings as fixture.settings_of(case.policy)
}

_cases := {
	"a fresh downgrade waits for a person": {"given": {"trust_downgrade": fixture.hit({"was": "provenance", "now": "none"}), "age": fixture.hit({"hours": 80})}, "policy": {}, "want": {fixture.finding("WEIR-TRUST-001", "pending", "trust_downgrade", {"was": "provenance", "now": "none"})}},
	"the last fresh hour waits for a person": {"given": {"trust_downgrade": fixture.hit({"was": "provenance", "now": "none"}), "age": fixture.hit({"hours": 719})}, "policy": {}, "want": {fixture.finding("WEIR-TRUST-001", "pending", "trust_downgrade", {"was": "provenance", "now": "none"})}},
	"an old downgrade is a warning": {"given": {"trust_downgrade": fixture.hit({"was": "provenance", "now": "none"}), "age": fixture.hit({"hours": 720})}, "policy": {}, "want": {fixture.finding("WEIR-TRUST-001", "warn", "trust_downgrade", {"was": "provenance", "now": "none"})}},
	"a downgrade of unknown age waits for a person": {"given": {"trust_downgrade": fixture.hit({"was": "provenance", "now": "none"}), "age": fixture.unknown("publish_time_unknown")}, "policy": {}, "want": {fixture.finding("WEIR-TRUST-001", "pending", "trust_downgrade", {"was": "provenance", "now": "none"})}},
	"a downgrade without evidence of age waits for a person": {"given": {"trust_downgrade": fixture.hit({"was": "provenance", "now": "none"}), "age": {}}, "policy": {}, "want": {fixture.finding("WEIR-TRUST-001", "pending", "trust_downgrade", {"was": "provenance", "now": "none"})}},
	"clear is silent": {"given": {}, "policy": {}, "want": set()},
	"unknown is silent": {"given": {"trust_downgrade": fixture.unknown("not_told_by_index")}, "policy": {}, "want": set()},
}

test_a_downgrade_without_any_outcome_of_age_waits_for_a_person if {
	given := fixture.given_without("age", {"trust_downgrade": fixture.hit({"was": "provenance", "now": "none"})})
	[found] := [found | some found in trust_downgrade.findings with input as given]
	found.level == "pending"
}
