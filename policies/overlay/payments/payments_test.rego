package weir.overlay.payments_test

import data.weir.lib.fixture_test as fixture
import data.weir.overlay.payments

test_findings[promise] if {
	some promise, case in _cases
	overlay_settings := fixture.settings_of(case.policy)
	payments.result.findings == case.want with input as fixture.given(case.given) with data.settings as overlay_settings
}

test_another_schema_has_no_answer if not payments.result with input as {"schema": "weir.input/v2"}

_cases := {
	"quiet is silent": {"given": {}, "policy": {}, "want": []},
	"an install script is refused": {"given": {"install_script": fixture.hit({"kinds": ["install"]})}, "policy": {}, "want": [fixture.finding("WEIR-OV-PAYMENTS-001", "deny", "payments_install_script", {"kinds": "install"})]},
	"an accepted install script is silent": {"given": {"install_script": fixture.hit({"kinds": ["install"]})}, "policy": {"install_scripts_allowed": {"npm": ["quiet-river"]}}, "want": []},
	"unknown scripts are silent": {"given": {"install_script": fixture.unknown("not_told_by_index")}, "policy": {}, "want": []},
	"a refused licence is refused even as a choice": {"given": {"licence": fixture.hit({"licence": "MIT OR AGPL-3.0-only", "ids": ["AGPL-3.0-only", "MIT"]})}, "policy": {"overlay": {"licences_refused": ["AGPL-3.0-only"]}}, "want": [fixture.finding("WEIR-OV-PAYMENTS-002", "deny", "payments_licence", {"licence": "MIT OR AGPL-3.0-only"})]},
	"other licences are silent": {"given": {}, "policy": {"overlay": {"licences_refused": ["AGPL-3.0-only"]}}, "want": []},
	"names without a scope are silent": {"given": {}, "policy": {"overlay": {"npm_scopes_approved": []}}, "want": []},
}

test_scopes if {
	given := fixture.input_of([
		fixture.named_candidate("@known", "x", {}),
		fixture.named_candidate("@other", "x", {}),
	])
	approving := fixture.settings_of({"overlay": {"npm_scopes_approved": ["@known"]}})
	payments.result.findings == [{
		"candidate": 1,
		"rule": "WEIR-OV-PAYMENTS-003",
		"level": "pending",
		"code": "payments_scope",
		"facts": {"scope": "@other"},
	}] with input as given with data.settings as approving
	payments.result.findings == [] with input as given with data.settings as fixture.settings_of({})
}
