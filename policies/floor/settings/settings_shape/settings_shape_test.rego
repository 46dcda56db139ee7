package weir.floor.settings.settings_shape_test

import data.weir.floor.settings.settings_shape
import data.weir.lib.fixture_test as fixture

test_misshapen_parts[promise] if {
	some promise, case in _cases
	parts := {found.facts.part |
		some found in settings_shape.findings with input as fixture.given({}) with data.settings as case.settings
	}
	parts == case.want
}

_cases := {
	"good settings are silent": {"settings": fixture.settings_of({}), "want": set()},
	"no settings at all": {"settings": {}, "want": _every_part},
	"settings that are no object": {"settings": "hostile", "want": _every_part},
	"settings without a policy": {"settings": {"policy": null}, "want": _every_part},
	"a number as text": {"settings": fixture.settings_of({"cooldown_hours": "72"}), "want": {"cooldown_hours"}},
	"a missing list": {"settings": fixture.settings_of({"licences_denied": null}), "want": {"licences_denied"}},
	"a list where names are kept by ecosystem": {
		"settings": _replaced("cooldown_exempt", ["x"]),
		"want": {"cooldown_exempt"},
	},
	"two faults at once": {
		"settings": fixture.settings_of({"new_package_days": true, "install_scripts_allowed": 1}),
		"want": {"install_scripts_allowed", "new_package_days"},
	},
}

_every_part := {"cooldown_exempt", "cooldown_hours", "install_scripts_allowed", "licences_denied", "new_package_days"}

_replaced(part, value) := {"policy": object.union(object.remove(fixture.settings_of({}).policy, [part]), {part: value})}

test_every_candidate_is_refused if {
	found := settings_shape.findings with input as fixture.given({})
		with data.settings as fixture.settings_of({"licences_denied": "x"})
	found == {
		{"candidate": 0, "rule": "WEIR-DATA-001", "level": "deny", "code": "settings_misshapen", "facts": {"part": "licences_denied"}},
		{"candidate": 1, "rule": "WEIR-DATA-001", "level": "deny", "code": "settings_misshapen", "facts": {"part": "licences_denied"}},
	}
}
