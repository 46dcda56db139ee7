# METADATA
# title: Names of packages
# description: >-
#   Full names and membership in the name lists of the settings. Nothing here reads a version, a digest, a size or a
#   time: versions of a package that share their evidence must be judged alike.
package weir.lib.subject

# METADATA
# description: The name as its users write it, `@scope/name` or `name`.
full_name(subject) := subject.name if subject.namespace == ""

full_name(subject) := concat("/", [subject.namespace, subject.name]) if subject.namespace != ""

# METADATA
# description: >-
#   Whether a candidate is on one of the lists of full names that `policy` keeps by ecosystem. Takes the candidate whole
#   and reaches into it here: a reference that is undefined in the call of a negated function silences the whole rule.
listed(list, candidate) if full_name(candidate.subject) in data.settings.policy[list][input.request.ecosystem]
