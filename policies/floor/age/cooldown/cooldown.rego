# METADATA
# title: Release is younger than the cooldown
# description: >-
#   Most malicious releases are found and removed within days. A release must have been public for
#   `policy.cooldown_hours` before it may be installed; `policy.cooldown_exempt` names packages that need not wait.
#   The host knows the exact moment at which the wait ends.
# custom:
#   id: WEIR-AGE-001
#   version: 1.0.0
#   level: deny
#   override: hub
#   min_level: allow
#   max_exception_days: 30
#   effect: hide+notice
#   ecosystems: [npm, pypi]
#   solution: >-
#     Install the newest release that is old enough, wait, or ask for an exception when the release fixes a
#     vulnerability.
package weir.floor.age.cooldown

import data.weir.lib.finding
import data.weir.lib.subject

meta := rego.metadata.chain()[1].annotations.custom

findings contains finding.of(i, meta, "cooldown", {"hours": hours, "required_hours": required}) if {
	required := data.settings.policy.cooldown_hours
	some i, candidate in input.candidates
	hours := candidate.evidence.age.value.hours
	hours < required
	not subject.listed("cooldown_exempt", candidate)
}
