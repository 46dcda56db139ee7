package weir.floor.name.namespace_shadow_test

import data.weir.floor.name.namespace_shadow
import data.weir.lib.fixture_test as fixture

test_findings[promise] if {
	some promise, case in _cases
	namespace_shadow.findings == case.want with input as fixture.given(case.given) with data.settings as fixture.settings_of(case.policy)
}

_cases := {
	"an internal name is refused": {"given": {"namespace_shadow": fixture.hit({"pattern": "@corp/*"})}, "policy": {}, "want": {fixture.finding("WEIR-NS-001", "deny", "namespace_shadow", {"pattern": "@corp/*"})}},
	"clear is silent": {"given": {}, "policy": {}, "want": set()},
	"missing evidence is another rule's business": {"given": {"namespace_shadow": {}}, "policy": {}, "want": set()},
	"hostile text is passed on as a fact": {"given": {"namespace_shadow": fixture.hit({"pattern": "\u001b[31m<script>{name}"})}, "policy": {}, "want": {fixture.finding("WEIR-NS-001", "deny", "namespace_shadow", {"pattern": "\u001b[31m<script>{name}"})}},
}
