package weir.overlay.research_test

import data.weir.lib.fixture_test as fixture
import data.weir.overlay.research

test_findings[promise] if {
	some promise, case in _cases
	overlay_settings := fixture.settings_of(case.policy)
	research.result.findings == case.want with input as fixture.given(case.given) with data.settings as overlay_settings
}

test_another_schema_has_no_answer if not research.result with input as {"schema": "weir.input/v2"}

_cases := {
	"quiet is silent": {"given": {}, "policy": {}, "want": []},
	"new with a script waits for a person": {"given": {"new_package": fixture.hit({"days": 1}), "install_script": fixture.hit({"kinds": ["install"]})}, "policy": {}, "want": [fixture.finding("WEIR-OV-RESEARCH-001", "pending", "research_new_with_script", {})]},
	"new alone is silent": {"given": {"new_package": fixture.hit({"days": 1})}, "policy": {}, "want": []},
	"a script alone is silent": {"given": {"install_script": fixture.hit({"kinds": ["install"]})}, "policy": {}, "want": []},
	"no licence is a warning": {"given": {"licence": fixture.hit({"kind": "missing"})}, "policy": {}, "want": [fixture.finding("WEIR-OV-RESEARCH-002", "warn", "research_no_licence", {})]},
	"an unknown licence is silent": {"given": {"licence": fixture.unknown("not_told_by_index")}, "policy": {}, "want": []},
}
