# METADATA
# title: Test fixtures
# description: >-
#   Inputs of one or more well-behaved candidates, which tests change one signal at a time.
package weir.lib.fixture_test

clear := {"state": "clear", "severity": "none", "value": {}, "reason": ""}

hit(value) := {"state": "hit", "severity": "high", "value": value, "reason": ""}

unknown(reason) := {"state": "unknown", "severity": "none", "value": {}, "reason": reason}

before_upstream := {"state": "not_applicable", "severity": "none", "value": {}, "reason": "before_upstream"}

quiet_evidence := {
	"age": object.union(clear, {"value": {"hours": 2160}}),
	"index_hash_mismatch": object.union(clear, {"value": {"algorithm": "sha512"}}),
	"install_script": clear,
	"known_malicious": clear,
	"licence": object.union(clear, {"value": {"licence": "MIT", "ids": ["MIT"]}}),
	"namespace_shadow": clear,
	"new_package": clear,
	"provenance_state": clear,
	"trust_downgrade": clear,
	"typosquat_distance": clear,
	"withdrawn_state": clear,
}

candidate_of(evidence) := named_candidate("", "quiet-river", evidence)

named_candidate(namespace, name, evidence) := {
	"subject": {
		"purl": "",
		"namespace": namespace,
		"name": name,
		"version": "1.0.0",
		"digest": "",
		"size": null,
		"published_at": null,
	},
	# Not a union: an outcome that a test gives replaces the quiet one whole, value and all.
	"evidence": object.union_n([object.remove(quiet_evidence, object.keys(evidence)), evidence]),
	"approvals": [],
}

input_of(candidates) := {
	"schema": "weir.input/v1",
	"request": {
		"action": "install",
		"enforcement_point": "registry-proxy",
		"ecosystem": "npm",
		"registry": "npm",
		"client": "npm",
	},
	"actor": {"id": "anonymous", "kind": "anonymous", "groups": [], "mfa": false},
	"unit": {"workspace": "test", "unit": "payments", "site": "one", "environment": "test", "labels": {}},
	"context": {"now": 1800000000, "staleness": "fresh", "mode": "block"},
	"candidates": candidates,
}

# One candidate with this evidence and a second, quiet one, so that a rule that mixes candidates up is seen.
given(evidence) := input_of([candidate_of(evidence), candidate_of({})])

settings_of(policy) := {
	"schema": "weir.settings/v1",
	"policy": object.union(
		{
			"cooldown_hours": 72,
			"cooldown_exempt": {"npm": [], "pypi": []},
			"new_package_days": 30,
			"install_scripts_allowed": {"npm": [], "pypi": []},
			"licences_denied": [],
			"overlay": {},
		},
		policy,
	),
}

finding(rule, level, code, facts) := {"candidate": 0, "rule": rule, "level": level, "code": code, "facts": facts}

# The first candidate has no outcome of one signal at all, as under an older engine.
given_without(signal, evidence) := input_of([{
	"subject": candidate_of({}).subject,
	"evidence": object.remove(candidate_of(evidence).evidence, [signal]),
	"approvals": [],
}])
