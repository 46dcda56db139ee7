package weir.floor.integrity.index_hash_mismatch_test

import data.weir.floor.integrity.index_hash_mismatch
import data.weir.lib.fixture_test as fixture

test_findings[promise] if {
	some promise, case in _cases
	index_hash_mismatch.findings == case.want with input as fixture.given(case.given) with data.settings as fixture.settings_of(case.policy)
}

_cases := {
	"other bytes are refused": {"given": {"index_hash_mismatch": fixture.hit({"algorithm": "sha256"})}, "policy": {}, "want": {fixture.finding("WEIR-INT-001", "deny", "index_hash_mismatch", {"algorithm": "sha256"})}},
	"the promised bytes are silent": {"given": {}, "policy": {}, "want": set()},
	"bytes not here yet are silent": {"given": {"index_hash_mismatch": fixture.unknown("not_fetched")}, "policy": {}, "want": set()},
	"missing evidence is silent": {"given": {"index_hash_mismatch": {}}, "policy": {}, "want": set()},
}
