package weir.floor.evidence.essential_unknown_test

import data.weir.floor.evidence.essential_unknown
import data.weir.lib.fixture_test as fixture

test_findings[promise] if {
	some promise, case in _cases
	essential_unknown.findings == case.want with input as fixture.given(case.given) with data.settings as fixture.settings_of(case.policy)
}

_cases := {
	"everything known is silent": {"given": {}, "policy": {}, "want": set()},
	"no malicious data is refused": {"given": {"known_malicious": fixture.unknown("not_in_bundle")}, "policy": {}, "want": {fixture.finding("WEIR-UNK-001", "deny", "malicious_data_unknown", {})}},
	"malicious data of no state is refused": {"given": {"known_malicious": {}}, "policy": {}, "want": {fixture.finding("WEIR-UNK-001", "deny", "malicious_data_unknown", {})}},
	"a state nobody defined is refused": {"given": {"known_malicious": {"state": "fine", "severity": "none", "value": {}, "reason": ""}}, "policy": {}, "want": {fixture.finding("WEIR-UNK-001", "deny", "malicious_data_unknown", {})}},
	"malicious is not unknown": {"given": {"known_malicious": fixture.hit({"id": "MAL-1"})}, "policy": {}, "want": set()},
	"no answer about internal names is refused": {"given": {"namespace_shadow": fixture.unknown("x")}, "policy": {}, "want": {fixture.finding("WEIR-UNK-001", "deny", "internal_names_unknown", {})}},
	"no publish time waits for a person": {"given": {"age": fixture.unknown("publish_time_unknown")}, "policy": {}, "want": {fixture.finding("WEIR-UNK-001", "pending", "publish_time_unknown", {"required_hours": 72})}},
	"no evidence of age waits for a person": {"given": {"age": {}}, "policy": {}, "want": {fixture.finding("WEIR-UNK-001", "pending", "publish_time_unknown", {"required_hours": 72})}},
	"an age without hours waits for a person": {"given": {"age": fixture.clear}, "policy": {}, "want": {fixture.finding("WEIR-UNK-001", "pending", "publish_time_unknown", {"required_hours": 72})}},
	"no publish time is silent without a cooldown": {"given": {"age": fixture.unknown("publish_time_unknown")}, "policy": {"cooldown_hours": 0}, "want": set()},
	"no publish time is silent for exempt packages": {"given": {"age": fixture.unknown("publish_time_unknown")}, "policy": {"cooldown_exempt": {"npm": ["quiet-river"]}}, "want": set()},
	"before upstream is asked nothing is unknown": {"given": {"known_malicious": fixture.before_upstream, "age": fixture.before_upstream}, "policy": {}, "want": set()},
	"no promised digest is a warning": {"given": {"index_hash_mismatch": fixture.unknown("digest_not_promised")}, "policy": {}, "want": {fixture.finding("WEIR-UNK-001", "warn", "digest_not_promised", {})}},
	"bytes not here yet are silent": {"given": {"index_hash_mismatch": fixture.unknown("not_fetched")}, "policy": {}, "want": set()},
	"a failed signal waits for a person": {"given": {"licence": fixture.unknown("signal_failed")}, "policy": {}, "want": {fixture.finding("WEIR-UNK-001", "pending", "signal_failed", {"signal": "licence"})}},
}

test_no_evidence_at_all_is_refused if {
	nothing := object.union(fixture.candidate_of({}), {"evidence": null})
	codes := {found.code |
		some found in essential_unknown.findings with input as fixture.input_of([nothing])
			with data.settings as fixture.settings_of({})
	}
	codes == {"internal_names_unknown", "malicious_data_unknown", "publish_time_unknown"}
}

test_each_absent_outcome_is_noticed if {
	expected := {
		"known_malicious": "malicious_data_unknown",
		"namespace_shadow": "internal_names_unknown",
		"age": "publish_time_unknown",
	}
	every signal, code in expected {
		given := fixture.given_without(signal, {})
		{found.code | some found in essential_unknown.findings with input as given with data.settings as fixture.settings_of({})} == {code}
	}
}
