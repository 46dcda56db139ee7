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

findings contains finding.at(i, meta, answer.level, answer.code, {}) if {
	some i, candidate in input.candidates
	candidate.evidence.withdrawn_state.state == "hit"
	answer := _answer(candidate)
}

default _answer(_) := {"level": "pending", "code": "withdrawn_unexplained"}

_answer(candidate) := _answers[candidate.evidence.withdrawn_state.value.state]

_answers := {
	"archived": {"level": "warn", "code": "archived"},
	"deprecated": {"level": "warn", "code": "deprecated"},
	"quarantined": {"level": "deny", "code": "quarantined"},
	"yanked": {"level": "warn", "code": "yanked"},
}
