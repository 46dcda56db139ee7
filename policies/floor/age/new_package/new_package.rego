# METADATA
# title: Package is new
# description: >-
#   The first release of the package is younger than `policy.new_package_days`. New names are where impostors live;
#   on its own this only warns, and it makes a look-alike name a refusal.
# custom:
#   id: WEIR-NEW-001
#   version: 1.0.0
#   level: warn
#   override: spoke
#   min_level: allow
#   max_exception_days: 366
#   effect: warn
#   ecosystems: [npm, pypi]
#   solution: >-
#     Check that the name is the one you meant and that the package is the project you expect.
package weir.floor.age.new_package

import data.weir.lib.finding

meta := rego.metadata.chain()[1].annotations.custom

findings contains finding.of(i, meta, "new_package", facts) if {
	some i, candidate in input.candidates
	candidate.evidence.new_package.state == "hit"
	facts := {"days": candidate.evidence.new_package.value.days, "window_days": data.settings.policy.new_package_days}
}
