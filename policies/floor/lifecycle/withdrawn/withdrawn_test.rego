package weir.floor.lifecycle.withdrawn_test

import data.weir.floor.lifecycle.withdrawn
import data.weir.lib.fixture_test as fixture

test_findings[promise] if {
	some promise, case in _cases
	withdrawn.findings == case.want with input as fixture.given(case.given) with data.settings as fixture.settings_of(case.policy)
}

_cases := {
	"a placeholder is refused": {"given": {"withdrawn_state": fixture.hit({"state": "security_holding"})}, "policy": {}, "want": {fixture.finding("WEIR-WDR-001", "deny", "quarantined", {"state": "security_holding"})}},
	"quarantined is refused": {"given": {"withdrawn_state": fixture.hit({"state": "quarantined"})}, "policy": {}, "want": {fixture.finding("WEIR-WDR-001", "deny", "quarantined", {"state": "quarantined"})}},
	"yanked is a warning": {"given": {"withdrawn_state": fixture.hit({"state": "yanked"})}, "policy": {}, "want": {fixture.finding("WEIR-WDR-001", "warn", "withdrawn", {"state": "yanked"})}},
	"deprecated is a warning": {"given": {"withdrawn_state": fixture.hit({"state": "deprecated"})}, "policy": {}, "want": {fixture.finding("WEIR-WDR-001", "warn", "withdrawn", {"state": "deprecated"})}},
	"archived is a warning": {"given": {"withdrawn_state": fixture.hit({"state": "archived"})}, "policy": {}, "want": {fixture.finding("WEIR-WDR-001", "warn", "withdrawn", {"state": "archived"})}},
	"clear is silent": {"given": {}, "policy": {}, "want": set()},
	"unknown is silent": {"given": {"withdrawn_state": fixture.unknown("unrecognised_project_state")}, "policy": {}, "want": set()},
	"a state nobody defined waits for a person": {"given": {"withdrawn_state": fixture.hit({"state": "\u001b[31m<script>{name}"})}, "policy": {}, "want": {fixture.finding("WEIR-WDR-001", "pending", "withdrawn", {"state": "\u001b[31m<script>{name}"})}},
}

test_a_hit_without_a_state_waits_for_a_person if {
	given := fixture.given({"withdrawn_state": fixture.hit({})})
	[found] := [found | some found in withdrawn.findings with input as given]
	found.level == "pending"
}
