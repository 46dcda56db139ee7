# METADATA
# title: Overlay of payments
# description: >-
#   What the payments unit asks for on top of the floor. The last two rules read lists of their own under
#   `policy.overlay` in the settings and rest while those are absent.
package weir.overlay.payments

import data.weir.lib.finding
import data.weir.lib.subject

# METADATA
# description: The layer's answer; findings are sorted, so that equal inputs give equal bytes in every engine.
# entrypoint: true
result := {"schema": input.schema, "findings": sort(findings)} if input.schema == "weir.input/v1"

# METADATA
# title: No code at install time
# description: >-
#   Build machines of this unit hold payment keys, so nothing may run while packages are being installed, except for
#   the packages on `policy.install_scripts_allowed`.
# custom:
#   id: WEIR-OV-PAYMENTS-001
#   version: 1.0.0
#   level: deny
#   override: hub
#   min_level: warn
#   max_exception_days: 90
#   effect: refuse
#   ecosystems: [npm, pypi]
#   solution: >-
#     Take a release without install scripts (a wheel instead of a source archive), or ask for an exception.
findings contains finding.of(i, meta, "payments_install_script", {"kinds": kinds}) if {
	meta := rego.metadata.rule().custom
	some i, candidate in input.candidates
	outcome := candidate.evidence.install_script
	outcome.state == "hit"
	not subject.listed("install_scripts_allowed", candidate)
	kinds := concat(", ", outcome.value.kinds)
}

# METADATA
# title: Licence refused by legal
# description: >-
#   Products of this unit are shipped to customers. A release is refused when its licence mentions anything on
#   `policy.overlay.licences_refused`, even as one of several choices.
# custom:
#   id: WEIR-OV-PAYMENTS-002
#   version: 1.0.0
#   level: deny
#   override: hub
#   min_level: allow
#   max_exception_days: 366
#   effect: refuse
#   ecosystems: [npm, pypi]
#   solution: >-
#     Choose another package, or have legal accept the licence and ask for an exception.
findings contains finding.of(i, meta, "payments_licence", {"licence": outcome.value.licence}) if {
	meta := rego.metadata.rule().custom
	refused := data.settings.policy.overlay.licences_refused
	some i, candidate in input.candidates
	outcome := candidate.evidence.licence
	some id in outcome.value.ids
	id in refused
}

# METADATA
# title: Scope needs approval
# description: >-
#   Scoped npm packages come from owners that were looked at: those on `policy.overlay.npm_scopes_approved`. Any
#   other scope waits for a person.
# custom:
#   id: WEIR-OV-PAYMENTS-003
#   version: 1.0.0
#   level: pending
#   override: hub
#   min_level: allow
#   max_exception_days: 366
#   effect: refuse
#   ecosystems: [npm]
#   solution: >-
#     Ask for the scope to be approved.
findings contains finding.of(i, meta, "payments_scope", {"scope": candidate.subject.namespace}) if {
	meta := rego.metadata.rule().custom
	input.request.ecosystem == "npm"
	approved := data.settings.policy.overlay.npm_scopes_approved
	some i, candidate in input.candidates
	candidate.subject.namespace != ""
	not candidate.subject.namespace in approved
}
