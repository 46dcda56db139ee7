# METADATA
# title: Essential evidence is missing
# description: >-
#   What a decision rests on must be known. Without the malicious-package data or the check of internal names,
#   nothing is installed. Without a publish time the cooldown cannot be judged, and a signal that failed has judged
#   nothing: a person decides. An index without digests is a warning.
# custom:
#   id: WEIR-UNK-001
#   version: 1.0.0
#   level: deny
#   override: hub
#   min_level: warn
#   max_exception_days: 7
#   effect: refuse
#   ecosystems: [npm, pypi]
#   solution: >-
#     Have the operator look at the named evidence; an exception covers the time until it is back.
package weir.floor.evidence.essential_unknown

import data.weir.lib.finding
import data.weir.lib.subject

meta := rego.metadata.chain()[1].annotations.custom

findings contains finding.of(i, meta, "malicious_data_unknown", {}) if {
	some i, candidate in input.candidates
	not _judged(candidate, "known_malicious")
}

findings contains finding.of(i, meta, "internal_names_unknown", {}) if {
	some i, candidate in input.candidates
	not _judged(candidate, "namespace_shadow")
}

findings contains finding.at(i, meta, "pending", "publish_time_unknown", {"required_hours": required}) if {
	required := data.settings.policy.cooldown_hours
	required > 0
	some i, candidate in input.candidates
	not _dated(candidate)
	not subject.listed("cooldown_exempt", candidate)
}

findings contains finding.at(i, meta, "warn", "digest_not_promised", {}) if {
	some i, candidate in input.candidates
	candidate.evidence.index_hash_mismatch.reason == "digest_not_promised"
}

findings contains finding.at(i, meta, "pending", "signal_failed", {"signal": signal}) if {
	some i, candidate in input.candidates
	some signal, outcome in candidate.evidence
	outcome.reason == "signal_failed"
}

# Helpers take the candidate whole: a missing signal must make them false, not the rule undefined.
_judged(candidate, signal) if candidate.evidence[signal].state in {"hit", "clear", "not_applicable"}

_dated(candidate) if is_number(candidate.evidence.age.value.hours)

_dated(candidate) if candidate.evidence.age.state == "not_applicable"
