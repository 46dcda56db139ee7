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
# description: Whether a subject is on a list of full names kept by ecosystem.
listed(lists, subject) if full_name(subject) in lists[input.request.ecosystem]
