# METADATA
# title: Release was withdrawn
# description: >-
#   Its registry or its authors took the release back. A project that its registry has put under quarantine, or replaced
#   by a placeholder, was reported as malware and is refused; yanked, deprecated, archived and unpublished are warnings,
#   because lockfiles may rightly pin such releases. A state that nobody has weighed yet waits for a person.
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

findings contains finding.of(i, meta, "quarantined", candidate.evidence.withdrawn_state.value) if {
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

_quarantined(candidate) if {
	candidate.evidence.withdrawn_state.state == "hit"
	candidate.evidence.withdrawn_state.value.state in {"quarantined", "security_holding"}
}

# A state that nobody has weighed yet is not waved through.
default _level(_) := "pending"

_level(candidate) := "warn" if candidate.evidence.withdrawn_state.value.state in {"archived", "deprecated", "unpublished", "yanked"}
