# METADATA
# title: Floor entry point
# description: >-
#   Collects the findings of every floor rule over all candidates. The schema is echoed so that the host can tell an
#   evaluation that understood its input from one that did not; for any other schema there is no answer at all.
package weir.floor.main

import data.weir.floor.age.cooldown
import data.weir.floor.age.new_package
import data.weir.floor.evidence.essential_unknown
import data.weir.floor.integrity.index_hash_mismatch
import data.weir.floor.licence.denied_licence
import data.weir.floor.lifecycle.withdrawn
import data.weir.floor.malicious.known_malicious
import data.weir.floor.name.namespace_shadow
import data.weir.floor.name.typosquat
import data.weir.floor.scripts.install_script
import data.weir.floor.settings.settings_shape
import data.weir.floor.trust.trust_downgrade

# METADATA
# description: The layer's answer; findings are sorted, so that equal inputs give equal bytes in every engine.
# entrypoint: true
result := {"schema": input.schema, "findings": sort(_findings)} if input.schema == "weir.input/v1"

_findings := union({
	cooldown.findings,
	denied_licence.findings,
	essential_unknown.findings,
	index_hash_mismatch.findings,
	install_script.findings,
	known_malicious.findings,
	namespace_shadow.findings,
	new_package.findings,
	settings_shape.findings,
	trust_downgrade.findings,
	typosquat.findings,
	withdrawn.findings,
})
