# METADATA
# title: Licence is not acceptable
# description: >-
#   The release can only be used under a licence that `policy.licences_denied` refuses. While that list is in force,
#   a licence that is missing or cannot be read is a warning.
# custom:
#   id: WEIR-LIC-001
#   version: 1.0.0
#   level: deny
#   override: hub
#   min_level: allow
#   max_exception_days: 366
#   effect: refuse
#   ecosystems: [npm, pypi]
#   solution: >-
#     Choose another package, or have legal accept the licence and ask for an exception.
package weir.floor.licence.denied_licence

import data.weir.lib.finding

meta := rego.metadata.chain()[1].annotations.custom

findings contains finding.of(i, meta, "licence_denied", value) if {
	some i, candidate in input.candidates
	_denied(candidate)
	value := candidate.evidence.licence.value
}

findings contains finding.at(i, meta, "warn", "licence_unclear", {}) if {
	data.settings.policy.licences_denied[0]
	some i, candidate in input.candidates
	not _clear(candidate)
	not _denied(candidate)
}

_clear(candidate) if candidate.evidence.licence.state in {"clear", "not_applicable"}

_denied(candidate) if {
	candidate.evidence.licence.state == "hit"
	candidate.evidence.licence.value.kind == "denied"
}
