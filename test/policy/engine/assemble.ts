// Hand-made modules that speak just enough of OPA's ABI to be loaded, for behaviour that no Rego compiles to: endless
// loops, endless recursion, addresses outside the memory, forbidden instructions.

import { FLOOR_ENTRYPOINT, overlayEntrypoint } from '@weir/shared/policy/input.ts';

const I32 = 0x7f;

export const ABORT = 0;
export const PRINTLN = 1;
/** Index of the first function that a body may call besides the imports: `opa_eval` itself. */
export const EVAL = 2;

/** Instructions by name; enough to write a body by hand. */
export const asm = {
  const: (value: number): number[] => [0x41, ...signed(value)],
  call: (index: number): number[] => [0x10, index],
  drop: [0x1a],
  forever: [0x03, 0x40, 0x0c, 0x00, 0x0b],
  unreachable: [0x00],
  load: [0x28, 2, 0],
  addAndStore: [0x6a, 0x36, 2, 0],
  lessThanSelect: [0x48, 0x1b],
  memoryGrow: (pages: number): number[] => [...asm.const(pages), 0x40, 0x00],
  /** An endless loop of something that leaves the stack as it was. */
  repeat: (body: readonly number[]): number[] => [0x03, 0x40, ...body, 0x0c, 0x00, 0x0b],
} as const;

export interface Pieces {
  /** Body of `opa_eval`; must leave an address. Default: the address of \`answer\`. */
  readonly evaluate?: readonly number[];
  readonly entrypoints?: readonly number[];
  /** Body of a start function. */
  readonly start?: readonly number[];
  /** Text that the result address points at. */
  readonly answer?: string;
  readonly builtins?: string;
  readonly abiMinor?: number;
  readonly extraSection?: readonly [id: number, payload: readonly number[]];
  readonly extraImport?: readonly [module: string, name: string];
}

const ADDRESS = { builtins: 16, entrypoints: 64, answer: 1024, heap: 65_536 } as const;

export function assemble(pieces: Pieces = {}): Uint8Array {
  const answer = pieces.answer ?? '[{"result":{"schema":"weir.input/v1","findings":[]}}]';
  const table = JSON.stringify({ [FLOOR_ENTRYPOINT]: 0, [overlayEntrypoint('payments')]: 0 });
  // Types: 0 (i32)->() · 1 ()->i32 · 2 (i32)->i32 · 3 (i32,i32)->i32 · 4 (i32×7)->i32 · 5 ()->()
  const types = vector([
    [0x60, 1, I32, 0],
    [0x60, 0, 1, I32],
    [0x60, 1, I32, 1, I32],
    [0x60, 2, I32, I32, 1, I32],
    [0x60, 7, I32, I32, I32, I32, I32, I32, I32, 1, I32],
    [0x60, 0, 0],
  ]);
  const imports = [
    [...text('env'), ...text('opa_abort'), 0, 0],
    [...text('env'), ...text('opa_println'), 0, 0],
    [...text('env'), ...text('memory'), 2, 0, 2],
  ];
  if (pieces.extraImport !== undefined) {
    imports.push([...text(pieces.extraImport[0]), ...text(pieces.extraImport[1]), 3, I32, 0]);
  }
  const functions: readonly (readonly [name: string, type: number, body: readonly number[]])[] = [
    ['opa_eval', 4, pieces.evaluate ?? asm.const(ADDRESS.answer)],
    ['builtins', 1, asm.const(ADDRESS.builtins)],
    ['entrypoints', 1, pieces.entrypoints ?? asm.const(ADDRESS.entrypoints)],
    ['opa_json_dump', 2, [0x20, 0]],
    ['opa_malloc', 2, asm.const(ADDRESS.heap)],
    ['opa_json_parse', 3, asm.const(1)],
    ['opa_heap_ptr_get', 1, asm.const(ADDRESS.heap)],
    ['opa_heap_ptr_set', 0, []],
    ['start', 5, pieces.start ?? []],
  ];
  const globals = [
    [I32, 0, ...asm.const(1), 0x0b],
    [I32, 0, ...asm.const(pieces.abiMinor ?? 3), 0x0b],
  ];
  const exports = [
    ...functions.map(([name], i) => [...text(name), 0, EVAL + i]),
    [...text('opa_wasm_abi_version'), 3, 0],
    [...text('opa_wasm_abi_minor_version'), 3, 1],
  ];
  const data = [
    [ADDRESS.builtins, pieces.builtins ?? '{}'],
    [ADDRESS.entrypoints, table],
    [ADDRESS.answer, answer],
  ] as const;
  const sections: (readonly [number, readonly number[]])[] = [
    [1, types],
    [2, vector(imports)],
    [3, vector(functions.map(([, type]) => [type]))],
    [6, vector(globals)],
    [7, vector(exports)],
    ...(pieces.start === undefined ? [] : [[8, [EVAL + functions.length - 1]] as const]),
    [10, vector(functions.map(([, , body]) => sized([0, ...body, 0x0b])))],
    [11, vector(data.map(([at, content]) => [0, ...asm.const(at), 0x0b, ...text(`${content}\0`)]))],
  ];
  if (pieces.extraSection !== undefined) sections.push(pieces.extraSection);
  const bytes = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];
  for (const [id, payload] of sections.toSorted((a, b) => a[0] - b[0])) bytes.push(id, ...sized(payload));
  return Uint8Array.from(bytes);
}

function vector(items: readonly (readonly number[])[]): number[] {
  return [...unsigned(items.length), ...items.flat()];
}

function sized(payload: readonly number[]): number[] {
  return [...unsigned(payload.length), ...payload];
}

function text(of: string): number[] {
  return sized([...Buffer.from(of)]);
}

function unsigned(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  do {
    bytes.push((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0));
    rest >>>= 7;
  } while (rest > 0);
  return bytes;
}

function signed(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (;;) {
    const low = rest & 0x7f;
    rest >>= 7;
    const done = (rest === 0 && (low & 0x40) === 0) || (rest === -1 && (low & 0x40) !== 0);
    bytes.push(done ? low : low | 0x80);
    if (done) return bytes;
  }
}
