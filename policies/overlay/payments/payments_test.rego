package weir.overlay.payments_test

import data.weir.overlay.payments

test_findings[promise] if {
	some promise, case in _cases
	policy := _settings(case.policy)
	payments.result.findings == case.want with input as _given(case.given) with data.settings as policy
}

test_the_schema_is_echoed if payments.result.schema == "weir.input/v1" with input as _given({})

test_another_schema_has_no_answer if not payments.result with input as {"schema": "weir.input/v2"}

test_unapproved_scopes_wait_for_a_person if {
	given := object.union(_given({}), {"candidates": [_named("@known", "x", {}), _named("@other", "x", {})]})
	approving := _settings({"overlay": {"npm_scopes_approved": ["@known"]}})
	[found] := payments.result.findings with input as given with data.settings as approving
	found == {
		"candidate": 1,
		"rule": "WEIR-OV-PAYMENTS-003",
		"level": "pending",
		"code": "payments_scope",
		"facts": {"scope": "@other"},
	}
	payments.result.findings == [] with input as given with data.settings as _settings({})
}

_cases := {
	"quiet is silent": {
		"given": {},
		"policy": {},
		"want": [],
	},
	"an install script is refused": {
		"given": {"install_script": _hit({"kinds": ["install"]})},
		"policy": {},
		"want": _found("WEIR-OV-PAYMENTS-001", "deny", "payments_install_script", {"kinds": "install"}),
	},
	"an accepted install script is silent": {
		"given": {"install_script": _hit({"kinds": ["install"]})},
		"policy": {"install_scripts_allowed": {"npm": ["quiet-river"]}},
		"want": [],
	},
	"unknown scripts are silent": {
		"given": {"install_script": {"state": "unknown", "severity": "none", "value": {}, "reason": "not_told_by_index"}},
		"policy": {},
		"want": [],
	},
	"a refused licence is refused even as a choice": {
		"given": {"licence": _hit({"licence": "MIT OR AGPL-3.0-only", "ids": ["AGPL-3.0-only", "MIT"]})},
		"policy": {"overlay": {"licences_refused": ["AGPL-3.0-only"]}},
		"want": _found("WEIR-OV-PAYMENTS-002", "deny", "payments_licence", {"licence": "MIT OR AGPL-3.0-only"}),
	},
	"two refused licences are one finding": {
		"given": {"licence": _hit({"licence": "A AND B", "ids": ["A", "B"]})},
		"policy": {"overlay": {"licences_refused": ["A", "B"]}},
		"want": _found("WEIR-OV-PAYMENTS-002", "deny", "payments_licence", {"licence": "A AND B"}),
	},
	"other licences are silent": {
		"given": {"licence": _hit({"licence": "MIT", "ids": ["MIT"]})},
		"policy": {"overlay": {"licences_refused": ["AGPL-3.0-only"]}},
		"want": [],
	},
	"names without a scope are silent": {
		"given": {},
		"policy": {"overlay": {"npm_scopes_approved": []}},
		"want": [],
	},
}

_clear := {"state": "clear", "severity": "none", "value": {}, "reason": ""}

_hit(value) := {"state": "hit", "severity": "high", "value": value, "reason": ""}

_named(namespace, name, evidence) := {
	"subject": {"namespace": namespace, "name": name, "version": "1.0.0"},
	"evidence": object.union({"age": _clear, "install_script": _clear, "licence": _clear, "new_package": _clear}, evidence),
	"approvals": [],
}

_given(evidence) := {
	"schema": "weir.input/v1",
	"request": {"ecosystem": "npm"},
	"candidates": [_named("", "quiet-river", evidence), _named("", "calm-lake", {})],
}

_settings(policy) := {"policy": object.union(
	{"install_scripts_allowed": {"npm": [], "pypi": []}, "overlay": {}},
	policy,
)}

_found(rule, level, code, facts) := [{"candidate": 0, "rule": rule, "level": level, "code": code, "facts": facts}]
