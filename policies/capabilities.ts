// Which built-ins a layer may use. One table; the capabilities files that OPA compiles with are derived from it and from
// what the pinned OPA offers. Everything here is compiled natively into wasm: no host call, clock, network, chance, regular
// expression, unbounded recursion over documents, or text formatting that differs between engines.

/** Built-ins for floor and overlays. */
const SHARED: readonly string[] = [
  ['abs', 'ceil', 'div', 'floor', 'minus', 'mul', 'plus', 'rem', 'round'],
  ['assign', 'eq', 'equal', 'gt', 'gte', 'lt', 'lte', 'neq'],
  ['count', 'max', 'min', 'product', 'sort', 'sum'],
  ['and', 'intersection', 'or', 'union'],
  ['array.concat', 'array.reverse', 'array.slice'],
  ['object.filter', 'object.get', 'object.keys', 'object.remove', 'object.union', 'object.union_n'],
  ['is_array', 'is_boolean', 'is_null', 'is_number', 'is_object', 'is_set', 'is_string', 'to_number', 'type_name'],
  ['concat', 'contains', 'endswith', 'format_int', 'indexof', 'lower', 'split', 'startswith', 'substring', 'upper'],
  ['trim', 'trim_left', 'trim_prefix', 'trim_right', 'trim_space', 'trim_suffix'],
  ['internal.member_2', 'internal.member_3', 'rego.metadata.chain', 'rego.metadata.rule'],
  // Woven into table tests by `opa test`. It is not native, so a module that calls it is refused when it is loaded.
  ['internal.test_case'],
].flat();

/** Built-ins for the floor alone: cheap in careful hands, a way to burn memory or time in others. */
const FLOOR_ONLY: readonly string[] = [
  'bits.and',
  'bits.lsh',
  'bits.negate',
  'bits.or',
  'bits.rsh',
  'bits.xor',
  'net.cidr_contains',
  'numbers.range',
  'replace',
  'strings.replace_n',
  'strings.reverse',
];

export const LAYER_BUILTINS: Readonly<Record<'floor' | 'overlay', readonly string[]>> = {
  floor: [...SHARED, ...FLOOR_ONLY].toSorted(),
  overlay: SHARED.toSorted(),
};

/** The part of `opa capabilities --current` that is used here. */
export interface OpaCapabilities {
  readonly builtins: readonly { readonly name: string; readonly decl: unknown; readonly infix?: string }[];
  readonly wasm_abi_versions?: readonly unknown[];
  readonly features?: readonly string[];
}

/** @throws Error naming a built-in of the table that this OPA does not have */
export function deriveCapabilities(
  current: OpaCapabilities,
  layer: 'floor' | 'overlay',
): OpaCapabilities & {
  readonly allow_net: readonly string[];
} {
  const builtins = LAYER_BUILTINS[layer].map((name) => {
    const builtin = current.builtins.find((candidate) => candidate.name === name);
    if (builtin === undefined) throw new Error(`opa has no built-in ${name}`);
    const { decl, infix } = builtin;
    return { name, decl: withoutProse(decl), ...(infix === undefined ? {} : { infix }) };
  });
  return {
    builtins,
    ...(current.wasm_abi_versions === undefined ? {} : { wasm_abi_versions: current.wasm_abi_versions }),
    features: (current.features ?? []).filter((feature) => FEATURES.has(feature)),
    allow_net: [],
  };
}

/** Rego as this library is written; string templates are not in every engine. */
const FEATURES: ReadonlySet<string> = new Set([
  'keywords_in_refs',
  'rego_v1',
  'rule_head_ref_string_prefixes',
  'rule_head_refs',
]);

/** Types only: names and descriptions of arguments mean nothing to the compiler. */
function withoutProse(node: unknown): unknown {
  if (Array.isArray(node)) return node.map(withoutProse);
  if (typeof node !== 'object' || node === null) return node;
  return Object.fromEntries(
    Object.entries(node)
      .filter(([key, value]) => !(key === 'description' || (key === 'name' && typeof value === 'string')))
      .map(([key, value]) => [key, withoutProse(value)]),
  );
}
