# METADATA
# title: Bytes differ from what the index promises
# description: >-
#   The digest of the stored bytes is not the one that the registry's index names. Either the index or the artifact
#   was changed; nothing can make such bytes acceptable.
# custom:
#   id: WEIR-INT-001
#   version: 1.0.0
#   level: deny
#   override: none
#   min_level: deny
#   max_exception_days: 0
#   effect: refuse
#   ecosystems: [npm, pypi]
#   solution: >-
#     Do not retry elsewhere. Report it to security, who can compare the bytes with an earlier copy.
package weir.floor.integrity.index_hash_mismatch

import data.weir.lib.finding

meta := rego.metadata.chain()[1].annotations.custom

findings contains finding.of(i, meta, "index_hash_mismatch", outcome.value) if {
	some i, candidate in input.candidates
	outcome := candidate.evidence.index_hash_mismatch
	outcome.state == "hit"
}
