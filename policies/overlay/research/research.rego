# METADATA
# title: Overlay of research
# description: >-
#   The research unit tries many packages and ships none of them. It adds a second look where two weak signs meet,
#   and a reminder that results have to be publishable.
package weir.overlay.research

import data.weir.lib.finding

# METADATA
# description: The layer's answer; findings are sorted, so that equal inputs give equal bytes in every engine.
# entrypoint: true
result := {"schema": input.schema, "findings": sort(findings)} if input.schema == "weir.input/v1"

# METADATA
# title: New package that runs code
# description: >-
#   A package that is new and runs code when installed has nobody to vouch for it yet: a person looks first.
# custom:
#   id: WEIR-OV-RESEARCH-001
#   version: 1.0.0
#   level: pending
#   override: spoke
#   min_level: allow
#   max_exception_days: 90
#   effect: refuse
#   ecosystems: [npm, pypi]
#   solution: >-
#     Install with scripts disabled, wait until the package has some history, or ask for approval.
findings contains finding.of(i, meta, "research_new_with_script", {}) if {
	meta := rego.metadata.rule().custom
	some i, candidate in input.candidates
	candidate.evidence.new_package.state == "hit"
	candidate.evidence.install_script.state == "hit"
}

# METADATA
# title: No licence declared
# description: >-
#   Work that builds on a package without a licence cannot be published with it.
# custom:
#   id: WEIR-OV-RESEARCH-002
#   version: 1.0.0
#   level: warn
#   override: spoke
#   min_level: allow
#   max_exception_days: 366
#   effect: warn
#   ecosystems: [npm, pypi]
#   solution: >-
#     Ask the authors for a licence before results depend on the package.
findings contains finding.of(i, meta, "research_no_licence", {}) if {
	meta := rego.metadata.rule().custom
	some i, candidate in input.candidates
	candidate.evidence.licence.value.kind == "missing"
}
