# METADATA
# title: Weir
# description: Types of the documents that every policy package reads.
# scope: subpackages
# schemas:
#   - input: schema.input
#   - data.settings: schema.settings
package weir
