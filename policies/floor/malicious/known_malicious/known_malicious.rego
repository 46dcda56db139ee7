# METADATA
# title: Known malicious release
# description: >-
#   The release, or every release of its name, is recorded as malicious in the signed datasets. Only the hub can
#   lower this, for a short time, when a record is wrong.
# custom:
#   id: WEIR-MAL-001
#   version: 1.0.0
#   level: deny
#   override: hub
#   min_level: warn
#   max_exception_days: 14
#   effect: refuse
#   ecosystems: [npm, pypi]
#   solution: >-
#     Remove the package, rotate every secret the machine could read if it was ever installed, and take a release
#     outside the recorded versions.
package weir.floor.malicious.known_malicious

import data.weir.lib.finding

meta := rego.metadata.chain()[1].annotations.custom

findings contains finding.of(i, meta, "known_malicious", outcome.value) if {
	some i, candidate in input.candidates
	outcome := candidate.evidence.known_malicious
	outcome.state == "hit"
}
