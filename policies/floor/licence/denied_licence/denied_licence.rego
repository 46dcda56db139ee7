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

findings contains finding.of(i, meta, "licence_denied", {"licence": value.licence}) if {
	some i, candidate in input.candidates
	candidate.evidence.licence.state == "hit"
	value := candidate.evidence.licence.value
	value.kind == "denied"
}

findings contains finding.at(i, meta, "warn", "licence_unclear", {}) if {
	data.settings.policy.licences_denied[0]
	some i, candidate in input.candidates
	_unclear(candidate.evidence.licence)
}

_unclear(outcome) if outcome.state == "unknown"

_unclear(outcome) if outcome.value.kind in {"missing", "unrecognised"}
