package weir.floor.age.cooldown_test

import data.weir.floor.age.cooldown
import data.weir.lib.fixture_test as fixture

test_findings[promise] if {
	some promise, case in _cases
	cooldown.findings == case.want with input as fixture.given(case.given) with data.settings as fixture.settings_of(case.policy)
}

_cases := {
	"fresh is refused": {"given": {"age": fixture.hit({"hours": 5})}, "policy": {}, "want": {fixture.finding("WEIR-AGE-001", "deny", "cooldown", {"hours": 5, "required_hours": 72})}},
	"one hour short is refused": {"given": {"age": fixture.hit({"hours": 71})}, "policy": {}, "want": {fixture.finding("WEIR-AGE-001", "deny", "cooldown", {"hours": 71, "required_hours": 72})}},
	"exactly old enough is silent": {"given": {"age": fixture.hit({"hours": 72})}, "policy": {}, "want": set()},
	"settings decide, whatever the state says": {"given": {"age": {"state": "clear", "severity": "none", "value": {"hours": 5}, "reason": ""}}, "policy": {"cooldown_hours": 6}, "want": {fixture.finding("WEIR-AGE-001", "deny", "cooldown", {"hours": 5, "required_hours": 6})}},
	"switched off is silent": {"given": {"age": fixture.hit({"hours": 0})}, "policy": {"cooldown_hours": 0}, "want": set()},
	"the cap is always old enough": {"given": {}, "policy": {"cooldown_hours": 2160}, "want": set()},
	"exempt packages need not wait": {"given": {"age": fixture.hit({"hours": 0})}, "policy": {"cooldown_exempt": {"npm": ["quiet-river"]}}, "want": set()},
	"exemptions of another ecosystem do not count": {"given": {"age": fixture.hit({"hours": 0})}, "policy": {"cooldown_exempt": {"pypi": ["quiet-river"]}}, "want": {fixture.finding("WEIR-AGE-001", "deny", "cooldown", {"hours": 0, "required_hours": 72})}},
	"unknown age is another rule's business": {"given": {"age": fixture.unknown("publish_time_unknown")}, "policy": {}, "want": set()},
}

test_exemption_of_a_scoped_name if {
	candidate := fixture.named_candidate("@corp", "x", {"age": fixture.hit({"hours": 0})})
	exempting := fixture.settings_of({"cooldown_exempt": {"npm": ["@corp/x"]}})
	cooldown.findings == set() with input as fixture.input_of([candidate]) with data.settings as exempting
	count(cooldown.findings) == 1 with input as fixture.input_of([candidate]) with data.settings as fixture.settings_of({})
}

test_each_candidate_is_judged_alone if {
	given := fixture.input_of([
		fixture.candidate_of({}),
		fixture.candidate_of({"age": fixture.hit({"hours": 1})}),
		fixture.candidate_of({"age": fixture.hit({"hours": 2})}),
	])
	judged := {[found.candidate, found.facts.hours] |
		some found in cooldown.findings with input as given with data.settings as fixture.settings_of({})
	}
	judged == {[1, 1], [2, 2]}
}
