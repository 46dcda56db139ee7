# METADATA
# title: Release was withdrawn
# description: >-
#   Its registry or its authors took the release back. A quarantined project is under investigation and is refused;
#   yanked, deprecated and archived are warnings, because lockfiles may rightly pin such releases.
# custom:
#   id: WEIR-WDR-001
#   version: 1.0.0
#   level: deny
#   override: hub
#   min_level: warn
#   max_exception_days: 30
#   effect: refuse
#   ecosystems: [npm, pypi]
#   solution: >-
#     Move to a release that is still supported.
package weir.floor.lifecycle.withdrawn

import data.weir.lib.finding

meta := rego.metadata.chain()[1].annotations.custom

findings contains finding.of(i, meta, "quarantined", {}) if {
	some i, candidate in input.candidates
	_quarantined(candidate)
}

findings contains finding.at(i, meta, level, "withdrawn", outcome.value) if {
	some i, candidate in input.candidates
	outcome := candidate.evidence.withdrawn_state
	outcome.state == "hit"
	not _quarantined(candidate)
	level := _level(candidate)
}

_quarantined(candidate) if candidate.evidence.withdrawn_state.value.state == "quarantined"

# A state that nobody has weighed yet is not waved through.
default _level(_) := "pending"

_level(candidate) := "warn" if candidate.evidence.withdrawn_state.value.state in {"archived", "deprecated", "yanked"}
