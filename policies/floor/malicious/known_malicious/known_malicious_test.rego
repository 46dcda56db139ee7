package weir.floor.malicious.known_malicious_test

import data.weir.floor.malicious.known_malicious
import data.weir.lib.fixture_test as fixture

test_findings[promise] if {
	some promise, case in _cases
	known_malicious.findings == case.want with input as fixture.given(case.given) with data.settings as fixture.settings_of(case.policy)
}

_cases := {
	"hit is refused": {"given": {"known_malicious": fixture.hit({"id": "MAL-1"})}, "policy": {}, "want": {fixture.finding("WEIR-MAL-001", "deny", "known_malicious", {"id": "MAL-1"})}},
	"a hit without a value is refused": {
		"given": {"known_malicious": fixture.hit({})},
		"policy": {},
		"want": {fixture.finding("WEIR-MAL-001", "deny", "known_malicious", {})},
	},
	"clear is silent": {"given": {}, "policy": {}, "want": set()},
	"unknown is another rule's business": {"given": {"known_malicious": fixture.unknown("not_in_bundle")}, "policy": {}, "want": set()},
	"missing evidence is another rule's business": {"given": {"known_malicious": {}}, "policy": {}, "want": set()},
	"hostile text is passed on as a fact": {"given": {"known_malicious": fixture.hit({"id": "\u001b[31m<script>{name}"})}, "policy": {}, "want": {fixture.finding("WEIR-MAL-001", "deny", "known_malicious", {"id": "\u001b[31m<script>{name}"})}},
}
