# METADATA
# title: Public package shadows an internal name
# description: >-
#   The name belongs to this organisation (`internal_names` in the settings), and the request would take it from a
#   public registry. Judged before the upstream is asked, so that internal names do not leak. Nobody can lower it: a
#   wrong pattern is changed in the settings.
# custom:
#   id: WEIR-NS-001
#   version: 1.0.0
#   level: deny
#   override: none
#   min_level: deny
#   max_exception_days: 0
#   effect: refuse
#   ecosystems: [npm, pypi]
#   solution: >-
#     Install the package from the internal registry; if the name is not internal after all, have the pattern
#     removed from the settings.
package weir.floor.name.namespace_shadow

import data.weir.lib.finding

meta := rego.metadata.chain()[1].annotations.custom

findings contains finding.of(i, meta, "namespace_shadow", outcome.value) if {
	some i, candidate in input.candidates
	outcome := candidate.evidence.namespace_shadow
	outcome.state == "hit"
}
