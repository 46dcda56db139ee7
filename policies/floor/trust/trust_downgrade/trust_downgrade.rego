# METADATA
# title: Release is less trustworthy than earlier ones
# description: >-
#   An earlier release was published with provenance, by a trusted publisher or in stages, and this one was not: the
#   mark of a stolen publishing token. Within 720 hours of its publication a person decides; after that nobody has
#   reported it, and it is a warning.
# custom:
#   id: WEIR-TRUST-001
#   version: 1.0.0
#   level: pending
#   override: hub
#   min_level: allow
#   max_exception_days: 90
#   effect: hide+notice
#   ecosystems: [npm, pypi]
#   solution: >-
#     Take the last release that has the provenance, or ask the maintainers why it is missing.
package weir.floor.trust.trust_downgrade

import data.weir.lib.finding

meta := rego.metadata.chain()[1].annotations.custom

findings contains finding.at(i, meta, level, "trust_downgrade", outcome.value) if {
	some i, candidate in input.candidates
	outcome := candidate.evidence.trust_downgrade
	outcome.state == "hit"
	level := _level(candidate)
}

default _level(_) := "pending"

_level(candidate) := "warn" if candidate.evidence.age.value.hours >= 720
