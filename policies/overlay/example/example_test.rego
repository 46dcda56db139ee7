package weir.overlay.example_test

import data.weir.lib.fixture_test as fixture
import data.weir.overlay.example

test_findings[promise] if {
	some promise, case in _cases
	overlay_settings := fixture.settings_of(case.policy)
	example.result.findings == case.want with input as fixture.given(case.given) with data.settings as overlay_settings
}

test_another_schema_has_no_answer if not example.result with input as {"schema": "weir.input/v2"}

_cases := {
	"quiet is silent": {"given": {}, "policy": {"overlay": {"build_chain": ["quiet-river"]}}, "want": []},
	"a script in the build chain is refused": {"given": {"install_script": fixture.hit({"kinds": ["install"]})}, "policy": {"overlay": {"build_chain": ["quiet-river"]}}, "want": [fixture.finding("WEIR-OV-EXAMPLE-001", "deny", "example_build_chain", {"name": "quiet-river"})]},
	"a script elsewhere is silent": {"given": {"install_script": fixture.hit({"kinds": ["install"]})}, "policy": {"overlay": {"build_chain": ["other"]}}, "want": []},
	"without its setting the rule rests": {"given": {"install_script": fixture.hit({"kinds": ["install"]})}, "policy": {}, "want": []},
}
