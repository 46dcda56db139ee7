# METADATA
# title: Building findings
# description: >-
#   The only place that knows the shape of a finding. Rules hand over their own METADATA, so that a rule's id and
#   level are written once, in the comment that people read.
package weir.lib.finding

# METADATA
# description: A finding at the level that the rule's METADATA declares.
of(index, meta, code, facts) := {
	"candidate": index,
	"rule": meta.id,
	"level": meta.level,
	"code": code,
	"facts": facts,
}

# METADATA
# description: A finding at a level of its own, which must not be above the one that METADATA declares.
at(index, meta, level, code, facts) := {
	"candidate": index,
	"rule": meta.id,
	"level": level,
	"code": code,
	"facts": facts,
}
