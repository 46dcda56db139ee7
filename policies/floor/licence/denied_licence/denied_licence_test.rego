package weir.floor.licence.denied_licence_test

import data.weir.floor.licence.denied_licence
import data.weir.lib.fixture_test as fixture

test_findings[promise] if {
	some promise, case in _cases
	denied_licence.findings == case.want with input as fixture.given(case.given) with data.settings as fixture.settings_of(case.policy)
}

_cases := {
	"a denied licence is refused": {"given": {"licence": fixture.hit({"kind": "denied", "licence": "AGPL-3.0-only", "ids": ["AGPL-3.0-only"]})}, "policy": {"licences_denied": ["AGPL-*"]}, "want": {fixture.finding("WEIR-LIC-001", "deny", "licence_denied", {"kind": "denied", "licence": "AGPL-3.0-only", "ids": ["AGPL-3.0-only"]})}},
	"an accepted licence is silent": {"given": {}, "policy": {"licences_denied": ["AGPL-*"]}, "want": set()},
	"a missing licence is a warning": {"given": {"licence": fixture.hit({"kind": "missing"})}, "policy": {"licences_denied": ["AGPL-*"]}, "want": {fixture.finding("WEIR-LIC-001", "warn", "licence_unclear", {})}},
	"an unreadable licence is a warning": {"given": {"licence": fixture.hit({"kind": "unrecognised"})}, "policy": {"licences_denied": ["AGPL-*"]}, "want": {fixture.finding("WEIR-LIC-001", "warn", "licence_unclear", {})}},
	"an unknown licence is a warning": {"given": {"licence": fixture.unknown("not_told_by_index")}, "policy": {"licences_denied": ["AGPL-*"]}, "want": {fixture.finding("WEIR-LIC-001", "warn", "licence_unclear", {})}},
	"missing is silent where nothing is denied": {"given": {"licence": fixture.hit({"kind": "missing"})}, "policy": {}, "want": set()},
	"unknown is silent where nothing is denied": {"given": {"licence": fixture.unknown("not_told_by_index")}, "policy": {}, "want": set()},
}

test_no_outcome_at_all_is_unclear if {
	given := fixture.given_without("licence", {})
	denying := fixture.settings_of({"licences_denied": ["AGPL-*"]})
	[found] := [found | some found in denied_licence.findings with input as given with data.settings as denying]
	found.code == "licence_unclear"
}
