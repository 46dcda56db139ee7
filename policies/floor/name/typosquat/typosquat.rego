# METADATA
# title: Name resembles a popular package
# description: >-
#   The name is a small edit away from a far more popular one. For an established package that is a warning; for a
#   new package it is a refusal, and when nobody can tell how old the package is, a person decides.
# custom:
#   id: WEIR-TYPO-001
#   version: 1.0.0
#   level: deny
#   override: hub
#   min_level: allow
#   max_exception_days: 366
#   effect: refuse
#   ecosystems: [npm, pypi]
#   solution: >-
#     Compare the name with the popular one; if this package is really meant, ask for an exception.
package weir.floor.name.typosquat

import data.weir.lib.finding

meta := rego.metadata.chain()[1].annotations.custom

findings contains finding.at(i, meta, level, "typosquat", outcome.value) if {
	some i, candidate in input.candidates
	outcome := candidate.evidence.typosquat_distance
	outcome.state == "hit"
	level := _level(candidate)
}

default _level(_) := "pending"

_level(candidate) := "deny" if candidate.evidence.new_package.state == "hit"

_level(candidate) := "warn" if candidate.evidence.new_package.state in {"clear", "not_applicable"}
