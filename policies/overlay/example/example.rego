# METADATA
# title: Overlay template
# description: >-
#   Copy this folder, name folder and package after your unit ('-' becomes '_'), keep the entry point as it is, and
#   write your own rules below it. An overlay adds findings; it cannot lower what the floor found.
package weir.overlay.example

import data.weir.lib.finding
import data.weir.lib.subject

# METADATA
# description: The layer's answer; findings are sorted, so that equal inputs give equal bytes in every engine.
# entrypoint: true
result := {"schema": input.schema, "findings": sort(findings)} if input.schema == "weir.input/v1"

# METADATA
# title: Build chain runs no install scripts
# description: >-
#   An example of a rule: packages named in `policy.overlay.build_chain` may not run code when installed.
# custom:
#   id: WEIR-OV-EXAMPLE-001
#   version: 1.0.0
#   level: deny
#   override: hub
#   min_level: warn
#   max_exception_days: 30
#   effect: refuse
#   ecosystems: [npm, pypi]
#   solution: >-
#     Pin a release without install scripts, or ask for an exception.
findings contains finding.of(i, meta, "example_build_chain", {"name": name}) if {
	meta := rego.metadata.rule().custom
	some i, candidate in input.candidates
	candidate.evidence.install_script.state == "hit"
	name := subject.full_name(candidate.subject)
	name in data.settings.policy.overlay.build_chain
}
