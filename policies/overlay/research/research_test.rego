package weir.overlay.research_test

import data.weir.overlay.research

test_findings[promise] if {
	some promise, case in _cases
	policy := _settings(case.policy)
	research.result.findings == case.want with input as _given(case.given) with data.settings as policy
}

test_the_schema_is_echoed if research.result.schema == "weir.input/v1" with input as _given({})

test_another_schema_has_no_answer if not research.result with input as {"schema": "weir.input/v2"}

_cases := {
	"quiet is silent": {
		"given": {},
		"policy": {},
		"want": [],
	},
	"new with a script waits for a person": {
		"given": {"new_package": _hit({"days": 1}), "install_script": _hit({"kinds": ["install"]})},
		"policy": {},
		"want": _found("WEIR-OV-RESEARCH-001", "pending", "research_new_with_script", {}),
	},
	"new alone is silent": {
		"given": {"new_package": _hit({"days": 1})},
		"policy": {},
		"want": [],
	},
	"a script alone is silent": {
		"given": {"install_script": _hit({"kinds": ["install"]})},
		"policy": {},
		"want": [],
	},
	"no licence is a warning": {
		"given": {"licence": _hit({"kind": "missing"})},
		"policy": {},
		"want": _found("WEIR-OV-RESEARCH-002", "warn", "research_no_licence", {}),
	},
	"an unknown licence is silent": {
		"given": {"licence": {"state": "unknown", "severity": "none", "value": {}, "reason": "not_told_by_index"}},
		"policy": {},
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
