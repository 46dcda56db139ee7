package weir.overlay.example_test

import data.weir.overlay.example

test_findings[promise] if {
	some promise, case in _cases
	policy := _settings(case.policy)
	example.result.findings == case.want with input as _given(case.given) with data.settings as policy
}

test_the_schema_is_echoed if example.result.schema == "weir.input/v1" with input as _given({})

test_another_schema_has_no_answer if not example.result with input as {"schema": "weir.input/v2"}

_cases := {
	"quiet is silent": {
		"given": {},
		"policy": {"overlay": {"build_chain": ["quiet-river"]}},
		"want": [],
	},
	"a script in the build chain is refused": {
		"given": {"install_script": _hit({"kinds": ["install"]})},
		"policy": {"overlay": {"build_chain": ["quiet-river"]}},
		"want": _found("WEIR-OV-EXAMPLE-001", "deny", "example_build_chain", {"name": "quiet-river"}),
	},
	"a script elsewhere is silent": {
		"given": {"install_script": _hit({"kinds": ["install"]})},
		"policy": {"overlay": {"build_chain": ["other"]}},
		"want": [],
	},
	"without its setting the rule rests": {
		"given": {"install_script": _hit({"kinds": ["install"]})},
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
