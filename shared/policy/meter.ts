// Makes a policy module interruptible from inside: rewrites the wasm so that every function entry and every loop turn pays
// for the instructions it is about to run, and calls the host when a slice of fuel is used up. The host then looks at its
// clock and either grants another slice or throws, which unwinds the wasm. A thread could interrupt as well, but costs a
// hop per decision (and misfires on a busy machine); `node:vm` timeouts cost 105 µs per call. This costs a subtraction,
// and, being a count of instructions, gives the same answer on every machine.
//
// Only what OPA's compiler emits is accepted: anything whose cost the count could miss (bulk memory, SIMD, threads,
// exceptions, tail calls, own memories) makes the module unacceptable. The engine validates the result again when it compiles.

/** Name under which the fuel counter (a mutable i32 global) is exported by a metered module. */
export const FUEL_EXPORT = 'weir_fuel';
/** Argument with which a metered module calls `env.opa_abort` when its fuel has run out; no address can be it. */
export const OUT_OF_FUEL = -1;
/** What a start function may use before the host can grant a slice: it runs while the instance is being made. */
const START_FUEL = 1 << 26;

export type Metered =
  | { readonly ok: true; readonly bytes: Uint8Array<ArrayBuffer> }
  | { readonly ok: false; readonly why: string };

const SECTION = { custom: 0, import: 2, memory: 5, global: 6, export: 7, code: 10, tag: 13 } as const;
const MAGIC = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00] as const;

const OP = {
  block: 0x02,
  loop: 0x03,
  if: 0x04,
  end: 0x0b,
  call: 0x10,
  memoryGrow: 0x40,
} as const;

/** Every instruction costs 1; these more, paid on the spot: they leave the module or ask the system for memory. */
const EXTRA_COST = { callImport: 200, memoryGrow: 20_000 } as const;

/** A number of 32 bits in five bytes, to be filled in later. */
const PADDED_ZERO = Uint8Array.of(0x80, 0x80, 0x80, 0x80, 0x00);

/** Custom section of the branch hinting proposal; engines that do not know it skip it. */
const BRANCH_HINTS = 'metadata.code.branch_hint';
const UNLIKELY = 0x00;

/** How an instruction's immediates are laid out; absent = the instruction is refused. */
type Immediate = 'none' | 'leb' | 'leb2' | 'byte' | 'bytes4' | 'bytes8' | 'table' | 'global' | 'saturating';
const IMMEDIATES: readonly (Immediate | undefined)[] = immediates();

function immediates(): (Immediate | undefined)[] {
  const table: (Immediate | undefined)[] = Array.from({ length: 256 });
  const set = (immediate: Immediate, from: number, to = from): void => void table.fill(immediate, from, to + 1);
  set('none', 0x00, 0x01);
  set('leb', 0x02, 0x04); // block types are signed, which changes the value and not the length
  set('none', 0x05);
  set('none', 0x0b);
  set('leb', 0x0c, 0x0d);
  set('table', 0x0e);
  set('none', 0x0f);
  set('leb', 0x10);
  set('leb2', 0x11);
  set('none', 0x1a, 0x1b);
  set('leb', 0x20, 0x22);
  set('global', 0x23, 0x24);
  set('leb2', 0x28, 0x3e);
  set('byte', 0x3f, 0x40);
  set('leb', 0x41, 0x42);
  set('bytes4', 0x43);
  set('bytes8', 0x44);
  set('none', 0x45, 0xc4);
  set('saturating', 0xfc);
  return table;
}

/** The same module with a fuel counter; a reason (lower-case, for logs and NACKs) when the module cannot be metered. */
export function meter(module: Uint8Array): Metered {
  try {
    return { ok: true, bytes: rewrite(new Reader(module)) };
  } catch (thrown) {
    if (thrown instanceof Unmeterable) return { ok: false, why: thrown.message };
    throw thrown;
  }
}

class Unmeterable extends Error {}

/** What the inserted code refers to. */
interface Meter {
  readonly fuelGlobal: number;
  readonly abortFunction: number;
  readonly importedFunctions: number;
}

function rewrite(input: Reader): Uint8Array<ArrayBuffer> {
  if (MAGIC.some((byte) => input.byte() !== byte)) throw new Unmeterable('not a wasm module of version 1');
  const out = new Writer(input.length + (input.length >> 1) + 1024);
  out.raw(Uint8Array.from(MAGIC));
  let imports: Imports | undefined;
  let meterOf: Meter | undefined;
  let exported = false;
  while (!input.atEnd()) {
    const id = input.byte();
    const section = input.take(input.u32());
    if (id === SECTION.custom) continue;
    if (id === SECTION.memory) throw new Unmeterable('module brings its own memory');
    if (id === SECTION.tag) throw new Unmeterable('module uses exceptions');
    if (id === SECTION.import) imports = readImports(new Reader(section));
    if (id === SECTION.global) {
      const globals = new Reader(section);
      const count = globals.u32();
      if (imports === undefined) throw new Unmeterable('module imports nothing');
      meterOf = {
        fuelGlobal: imports.globals + count,
        abortFunction: imports.abort,
        importedFunctions: imports.functions,
      };
      // (global $fuel (mut i32) (i32.const START_FUEL))
      const fuel = Uint8Array.of(0x7f, 0x01, 0x41, 0x80, 0x80, 0x80, START_FUEL >> 21, 0x0b);
      out.section(id, (w) =>
        w
          .u32(count + 1)
          .raw(globals.rest())
          .raw(fuel),
      );
    } else if (id === SECTION.export) {
      if (meterOf === undefined) throw new Unmeterable('module has no globals');
      const { fuelGlobal } = meterOf;
      const exports = new Reader(section);
      const count = exports.u32();
      exported = true;
      out.section(id, (w) =>
        w
          .u32(count + 1)
          .raw(exports.rest())
          .name(FUEL_EXPORT)
          .byte(0x03)
          .u32(fuelGlobal),
      );
    } else if (id === SECTION.code) {
      if (meterOf === undefined || !exported) throw new Unmeterable('module has no globals or exports');
      const { fuelGlobal, abortFunction, importedFunctions } = meterOf;
      const code = new Writer(section.length + (section.length >> 1));
      const hints = new Writer(section.length >> 2);
      meterCode(new Reader(section), code, hints, { fuelGlobal, abortFunction, importedFunctions });
      out.section(SECTION.custom, (w) => w.name(BRANCH_HINTS).raw(hints.bytes()));
      out.section(id, (w) => w.raw(code.bytes()));
    } else {
      out.section(id, (w) => w.raw(section));
    }
  }
  if (!exported) throw new Unmeterable('module exports nothing');
  return out.bytes();
}

interface Imports {
  readonly functions: number;
  readonly globals: number;
  readonly abort: number;
}

function readImports(section: Reader): Imports {
  let functions = 0;
  let abort = -1;
  for (let left = section.u32(); left > 0; left -= 1) {
    const module = section.name();
    const name = section.name();
    const kind = section.byte();
    if (module !== 'env') throw new Unmeterable(`module imports from ${JSON.stringify(module)}`);
    if (kind === 0x00) {
      section.u32();
      if (!/^opa_(?:abort|println|builtin[0-4])$/.test(name))
        throw new Unmeterable(`module imports ${JSON.stringify(name)}`);
      if (name === 'opa_abort') abort = functions;
      functions += 1;
    } else if (kind === 0x02 && name === 'memory') {
      const flags = section.byte();
      if (flags > 1) throw new Unmeterable('module wants a shared or 64-bit memory');
      section.u32();
      if (flags === 1) section.u32();
    } else {
      throw new Unmeterable(`module imports ${JSON.stringify(name)}`);
    }
  }
  if (abort < 0) throw new Unmeterable('module does not import opa_abort');
  return { functions, globals: 0, abort };
}

/** Also writes the hints: the branch to the host is rare, which keeps its call out of the way of the loop around it. */
function meterCode(code: Reader, out: Writer, hints: Writer, meterOf: Meter): void {
  const count = code.u32();
  out.u32(count);
  hints.u32(count);
  for (let i = 0; i < count; i += 1) {
    const body = new Reader(code.take(code.u32()));
    const branches: number[] = [];
    out.sized((w) => meterFunction(body, w, meterOf, branches));
    hints.u32(meterOf.importedFunctions + i).u32(branches.length);
    for (const offset of branches) hints.u32(offset).byte(0x01).byte(UNLIKELY);
  }
}

/** A charge whose amount is known only at the end of the block that it pays for. */
interface Charge {
  readonly at: number;
  cost: number;
}

function meterFunction(body: Reader, out: Writer, meterOf: Meter, branches: number[]): void {
  const start = out.position;
  const charged = (): Charge => writeCharge(out, meterOf, start, branches);
  out.raw(skipLocals(body));
  let charge = charged();
  /** One entry per open block: the charge to go back to when a loop ends, undefined for every other block. */
  const open: (Charge | undefined)[] = [];
  let depth = 1;
  while (depth > 0) {
    const opAt = body.position;
    const op = body.byte();
    const extra = instructionCost(op, body, meterOf);
    if (extra > 0) settle(out, { ...charged(), cost: extra });
    charge.cost += 1;
    out.raw(body.since(opAt));
    if (op === OP.loop) {
      open.push(charge);
      charge = charged();
      depth += 1;
    } else if (op === OP.block || op === OP.if) {
      open.push(undefined);
      depth += 1;
    } else if (op === OP.end) {
      depth -= 1;
      const outer = open.pop();
      if (outer !== undefined) {
        settle(out, charge);
        charge = outer;
      }
    }
  }
  settle(out, charge);
  if (!body.atEnd()) throw new Unmeterable('code after the end of a function');
}

function skipLocals(body: Reader): Uint8Array {
  const start = body.position;
  for (let groups = body.u32(); groups > 0; groups -= 1) {
    body.u32();
    const type = body.byte();
    if (type < 0x7c || type > 0x7f) throw new Unmeterable('local of a type other than a number');
  }
  return body.since(start);
}

/** Reads past the immediates of one instruction; what it costs on top of the usual 1. */
function instructionCost(op: number, body: Reader, meterOf: Meter): number {
  const immediate = IMMEDIATES[op];
  if (immediate === undefined) throw new Unmeterable(`instruction 0x${op.toString(16)}`);
  let extra = 0;
  switch (immediate) {
    case 'none':
      break;
    case 'leb': {
      const value = body.leb();
      if (op === OP.call && value < meterOf.importedFunctions) extra = EXTRA_COST.callImport;
      break;
    }
    case 'leb2':
      body.leb();
      body.leb();
      break;
    case 'byte':
      body.byte();
      if (op === OP.memoryGrow) extra = EXTRA_COST.memoryGrow;
      break;
    case 'bytes4':
      body.take(4);
      break;
    case 'bytes8':
      body.take(8);
      break;
    case 'table':
      for (let labels = body.u32(); labels > 0; labels -= 1) body.leb();
      body.leb();
      break;
    case 'global':
      // The counter has the first index after the module's own; a module that already names it means to refuel itself.
      if (body.u32() >= meterOf.fuelGlobal) throw new Unmeterable('module names a global that it does not declare');
      break;
    case 'saturating':
      if (body.u32() > 7) throw new Unmeterable('bulk memory instruction');
      break;
  }
  return extra;
}

/** `fuel -= cost; if (fuel < 0) opa_abort(OUT_OF_FUEL)`; the cost is filled in by `settle`. Notes where the branch is. */
function writeCharge(out: Writer, meterOf: Meter, functionStart: number, branches: number[]): Charge {
  out.byte(0x23).u32(meterOf.fuelGlobal).byte(0x41);
  const at = out.position;
  out.raw(PADDED_ZERO);
  out.byte(0x6b).byte(0x24).u32(meterOf.fuelGlobal);
  out.byte(0x23).u32(meterOf.fuelGlobal).byte(0x41).byte(0x00).byte(0x48); // fuel < 0
  branches.push(out.position - functionStart);
  out.byte(0x04).byte(0x40).byte(0x41).byte(0x7f).byte(0x10).u32(meterOf.abortFunction).byte(0x0b);
  return { at, cost: 0 };
}

function settle(out: Writer, charge: Charge): void {
  for (let i = 0, rest = charge.cost; i < 5; i += 1, rest >>>= 7)
    out.patch(charge.at + i, (rest & 0x7f) | (i < 4 ? 0x80 : 0));
}

/** Reads the wasm binary format; running past the end makes the module unmeterable. */
class Reader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get length(): number {
    return this.#bytes.length;
  }

  get position(): number {
    return this.#at;
  }

  atEnd(): boolean {
    return this.#at >= this.#bytes.length;
  }

  byte(): number {
    const byte = this.#bytes[this.#at];
    if (byte === undefined) throw new Unmeterable('module ends early');
    this.#at += 1;
    return byte;
  }

  /** Unsigned LEB128 of at most 32 bits. */
  u32(): number {
    const value = this.leb();
    if (value > 0xffff_ffff) throw new Unmeterable('number over 32 bits');
    return value;
  }

  /** Any LEB128 of at most 64 bits, read as unsigned (exact below 2^53). */
  leb(): number {
    let value = 0;
    for (let shift = 0; shift < 10; shift += 1) {
      const byte = this.byte();
      value += (byte & 0x7f) * 2 ** (7 * shift);
      if (byte < 0x80) return value;
    }
    throw new Unmeterable('number over 64 bits');
  }

  name(): string {
    return new TextDecoder().decode(this.take(this.u32()));
  }

  take(size: number): Uint8Array {
    if (this.#at + size > this.#bytes.length) throw new Unmeterable('module ends early');
    this.#at += size;
    return this.#bytes.subarray(this.#at - size, this.#at);
  }

  since(start: number): Uint8Array {
    return this.#bytes.subarray(start, this.#at);
  }

  rest(): Uint8Array {
    return this.take(this.#bytes.length - this.#at);
  }
}

/** Writes the wasm binary format into one growing buffer. */
class Writer {
  #bytes: Uint8Array<ArrayBuffer>;
  #at = 0;

  constructor(capacity: number) {
    this.#bytes = new Uint8Array(capacity);
  }

  get position(): number {
    return this.#at;
  }

  bytes(): Uint8Array<ArrayBuffer> {
    return this.#bytes.slice(0, this.#at);
  }

  byte(value: number): this {
    this.#reserve(1);
    this.#bytes[this.#at] = value;
    this.#at += 1;
    return this;
  }

  raw(bytes: Uint8Array): this {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#at);
    this.#at += bytes.length;
    return this;
  }

  u32(value: number): this {
    let rest = value;
    while (rest > 0x7f) {
      this.byte((rest & 0x7f) | 0x80);
      rest >>>= 7;
    }
    return this.byte(rest);
  }

  name(text: string): this {
    const bytes = new TextEncoder().encode(text);
    return this.u32(bytes.length).raw(bytes);
  }

  patch(at: number, value: number): void {
    this.#bytes[at] = value;
  }

  section(id: number, write: (writer: Writer) => void): void {
    this.byte(id);
    this.sized(write);
  }

  /** What `write` writes, behind its length in five bytes. */
  sized(write: (writer: Writer) => void): void {
    const at = this.#at;
    this.raw(PADDED_ZERO);
    write(this);
    for (let i = 0, rest = this.#at - at - 5; i < 5; i += 1, rest >>>= 7) {
      this.patch(at + i, (rest & 0x7f) | (i < 4 ? 0x80 : 0));
    }
  }

  #reserve(size: number): void {
    if (this.#at + size <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(this.#bytes.length * 2, this.#at + size));
    larger.set(this.#bytes.subarray(0, this.#at));
    this.#bytes = larger;
  }
}
