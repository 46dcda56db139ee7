# METADATA
# title: Release runs code when installed
# description: >-
#   Code that runs at install time runs with the rights of whoever installs. Many honest packages do it, so the
#   floor warns; units that want more refuse it in their overlay. `policy.install_scripts_allowed` names packages
#   whose scripts are accepted.
# custom:
#   id: WEIR-SCR-001
#   version: 1.0.0
#   level: warn
#   override: spoke
#   min_level: allow
#   max_exception_days: 366
#   effect: warn
#   ecosystems: [npm, pypi]
#   solution: >-
#     Install with scripts disabled, or have the package put on the list of accepted install scripts.
package weir.floor.scripts.install_script

import data.weir.lib.finding
import data.weir.lib.subject

meta := rego.metadata.chain()[1].annotations.custom

findings contains finding.of(i, meta, "install_script", {"kinds": concat(", ", outcome.value.kinds)}) if {
	some i, candidate in input.candidates
	outcome := candidate.evidence.install_script
	outcome.state == "hit"
	not subject.listed("install_scripts_allowed", candidate)
}
