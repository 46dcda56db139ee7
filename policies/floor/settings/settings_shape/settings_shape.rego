# METADATA
# title: Settings are missing or misshapen
# description: >-
#   A rule whose settings are absent would stay silent, which looks exactly like a clean answer. Every setting that
#   the floor reads must be there, with the right type.
# custom:
#   id: WEIR-DATA-001
#   version: 1.0.0
#   level: deny
#   override: none
#   min_level: deny
#   max_exception_days: 0
#   effect: refuse
#   ecosystems: [npm, pypi]
#   solution: >-
#     Have the hub publish the settings of this unit again.
package weir.floor.settings.settings_shape

import data.weir.lib.finding

meta := rego.metadata.chain()[1].annotations.custom

findings contains finding.of(i, meta, "settings_misshapen", {"part": part}) if {
	some part, type in _required
	type_name(object.get(_policy, part, null)) != type
	some i, _ in input.candidates
}

default _policy := {}

_policy := data.settings.policy if is_object(data.settings.policy)

_required := {
	"cooldown_exempt": "object",
	"cooldown_hours": "number",
	"install_scripts_allowed": "object",
	"licences_denied": "array",
	"new_package_days": "number",
}
