// One policy layer (floor or overlay) as a function from canonical bytes to an answer. The only place that touches OPA's
// SDK; it closes the traps in which the SDK and the ABI fail open or never return:
// input is canonical bytes and nothing else · the answer must echo the input's schema · memory always has a maximum ·
// modules that need a host built-in are refused at load · data is set once, on a fresh instance · after any throw the
// instance is thrown away and made anew from the compiled module · every text read out of the module is bounded ·
// loading runs under `Interruptible`, evaluation under the fuel of `meter.ts` · whatever is thrown, strings included,
// becomes a failure code · printing goes nowhere.

import * as sdk from '@open-policy-agent/opa-wasm';
import { WeirError, describeThrown } from '../errors/weir-error.ts';
import type { Clock } from '../ports/clock.ts';
import { decodeOutput } from './decode-output.ts';
import { CanonicalBytes } from './input-bytes.ts';
import { Interrupted, Interruptible } from './interruptible.ts';
import { type LayerAnswer, type LayerFailed, failed } from './layer-answer.ts';
import { FUEL_EXPORT, OUT_OF_FUEL, meter } from './meter.ts';
import { readText, reserve } from './policy-abi.ts';

/** The package's types describe its CommonJS face; imported as a module, the same names hang below `default`. */
const { LoadedPolicy } = (sdk as unknown as { readonly default: typeof sdk }).default;

export interface LayerLimits {
  /** Milliseconds of one evaluation. */
  readonly deadlineMs: number;
  /** Wasm pages (64 KiB) of one instance: data, input, temporaries and result. */
  readonly memoryPages: number;
  /** Bytes of one result. */
  readonly outputBytes: number;
  /** Bytes of one input. */
  readonly inputBytes: number;
}

export const FLOOR_LIMITS: LayerLimits = {
  deadlineMs: 1000,
  memoryPages: 1024,
  outputBytes: 4 << 20,
  inputBytes: 2 << 20,
};

export const OVERLAY_LIMITS: LayerLimits = {
  deadlineMs: 50,
  memoryPages: 512,
  outputBytes: 4 << 20,
  inputBytes: 2 << 20,
};

/** Milliseconds for making an instance (start function, data, first look-ups): of the module, and of the SDK around it. */
const LOAD_DEADLINE_MS = 1000;
const INTERRUPT_MS = 4 * LOAD_DEADLINE_MS;
const INITIAL_PAGES = 5;
const ABORT_TEXT_BYTES = 300;
const TABLE_BYTES = 64 << 10;

/** Instructions between two looks at the clock, well under a millisecond; and the most that one evaluation may use. */
const FUEL_SLICE = 1 << 20;
const FUEL_SLICES_MAX = 1 << 16;

export interface WasmLayerOptions {
  /** `opa build -t wasm` output. */
  readonly module: Uint8Array;
  /** Slash path, see `input.ts`. */
  readonly entrypoint: string;
  /** Document that the policy sees as `data`. */
  readonly data: CanonicalBytes;
  readonly limits: LayerLimits;
  readonly clock: Pick<Clock, 'monotonicMs'>;
}

/**
 * Compiles the module and makes a first instance of it.
 * @throws WeirError `engine_failed` when the module is not an acceptable policy (the message says why)
 */
export async function loadWasmLayer(options: WasmLayerOptions): Promise<WasmLayer> {
  // Validated before it is rewritten, so that nothing invalid in the original can become valid by what is added.
  if (!WebAssembly.validate(options.module)) throw refused('module is not valid wasm');
  const metered = meter(options.module);
  if (!metered.ok) throw refused(metered.why);
  const module = await WebAssembly.compile(metered.bytes);
  const layer = new WasmLayer(module, options);
  layer.warm();
  return layer;
}

export class WasmLayer {
  readonly #module: WebAssembly.Module;
  readonly #options: WasmLayerOptions;
  readonly #guard = new Interruptible();
  #instance: PolicyInstance | undefined;
  #closed = false;

  constructor(module: WebAssembly.Module, options: WasmLayerOptions) {
    this.#module = module;
    this.#options = options;
  }

  /** Makes the instance now instead of at the first evaluation. @throws WeirError `engine_failed` */
  warm(): void {
    try {
      this.#instance ??= this.#make();
    } catch (thrown) {
      throw thrown instanceof WeirError ? thrown : refused(failureOf(thrown).detail, thrown);
    }
  }

  /** Never throws. @param candidates length of the input's candidate list */
  evaluate(input: CanonicalBytes, candidates: number): LayerAnswer {
    const text = this.#run(input);
    return typeof text === 'string' ? decodeOutput(text, candidates) : text;
  }

  /** The result set as OPA dumps it, or the failure; for self-tests and explanations, which compare it whole. */
  evaluateRaw(input: CanonicalBytes): string | LayerFailed {
    return this.#run(input);
  }

  close(): void {
    this.#closed = true;
    this.#instance = undefined;
  }

  #run(input: CanonicalBytes): string | LayerFailed {
    if (!CanonicalBytes.isCanonical(input)) return failed('bad_output', 'input is not canonical bytes');
    if (input.bytes.length > this.#options.limits.inputBytes)
      return failed('input_too_large', 'input is over its limit');
    if (this.#closed) return failed('unavailable', 'layer is closed');
    if (this.#instance === undefined) {
      try {
        this.#instance = this.#make();
      } catch (thrown) {
        return failed('unavailable', describeThrown(thrown));
      }
    }
    try {
      const text = this.#instance.evaluate(input.bytes);
      if (text !== undefined) return text;
      this.#instance = undefined;
      return failed('output_too_large', 'result is over its limit or lies outside the memory');
    } catch (thrown) {
      this.#instance = undefined;
      return failureOf(thrown);
    }
  }

  #make(): PolicyInstance {
    return this.#guard.run(() => new PolicyInstance(this.#module, this.#options), INTERRUPT_MS);
  }
}

/** One instance with its memory and data. Unusable after a throw. */
class PolicyInstance {
  readonly #memory: WebAssembly.Memory;
  readonly #fuel: WebAssembly.Global;
  readonly #eval: OpaEval;
  readonly #entrypoint: number;
  readonly #dataAddress: number;
  readonly #inputAddress: number;
  readonly #outputBytes: number;
  readonly #clock: Pick<Clock, 'monotonicMs'>;
  #deadlineMs = LOAD_DEADLINE_MS;
  #startedMs = 0;
  #slices = 0;

  constructor(module: WebAssembly.Module, options: WasmLayerOptions) {
    this.#clock = options.clock;
    this.#outputBytes = options.limits.outputBytes;
    this.#memory = new WebAssembly.Memory({ initial: INITIAL_PAGES, maximum: options.limits.memoryPages });
    let fuel: WebAssembly.Global | undefined;
    const tick = (): void => {
      if (fuel === undefined) throw new Overrun('start function ran out of fuel');
      this.#spend();
      fuel.value = FUEL_SLICE;
    };
    const instance = new WebAssembly.Instance(module, { env: this.#imports(tick) });
    const exports = instance.exports;
    fuel = exports[FUEL_EXPORT] as WebAssembly.Global;
    this.#fuel = fuel;
    this.#refuel();
    if (
      globalOf(exports, 'opa_wasm_abi_version') !== 1 ||
      !((globalOf(exports, 'opa_wasm_abi_minor_version') ?? 0) >= 2)
    ) {
      throw refused('module is not of abi 1.2 or later');
    }
    const builtins = Object.keys(this.#table(exports, 'builtins'));
    if (builtins.length > 0) throw refused(`module needs built-ins of the host: ${builtins.join(', ')}`);
    const entrypoint = this.#table(exports, 'entrypoints')[options.entrypoint];
    if (typeof entrypoint !== 'number') throw refused(`module has no entrypoint ${options.entrypoint}`);
    this.#entrypoint = entrypoint;
    this.#eval = exports['opa_eval'] as OpaEval;

    const policy = new LoadedPolicy({ instance, module }, this.#memory, 2);
    policy.setData(new Uint8Array(options.data.bytes).buffer);
    this.#dataAddress = policy.dataAddr;
    this.#inputAddress = policy.dataHeapPtr as number;
    this.#deadlineMs = options.limits.deadlineMs;
  }

  /** Text of the result set; undefined when it cannot be read within the limit. Throws what the module throws. */
  evaluate(input: Uint8Array): string | undefined {
    const end = this.#inputAddress + input.length;
    reserve(this.#memory, end);
    new Uint8Array(this.#memory.buffer, this.#inputAddress, input.length).set(input);
    this.#refuel();
    // The SDK's evaluate() would scan for the end of the result without a bound; the call itself is the same.
    const result = this.#eval(0, this.#entrypoint, this.#dataAddress, this.#inputAddress, input.length, end, 0);
    return readText(this.#memory, result, this.#outputBytes);
  }

  #refuel(): void {
    this.#slices = 0;
    this.#fuel.value = FUEL_SLICE;
  }

  /** Called each time a slice is used up; the time of the first slice is not worth a look at the clock. */
  #spend(): void {
    const now = this.#clock.monotonicMs();
    if (this.#slices === 0) this.#startedMs = now;
    this.#slices += 1;
    if (now - this.#startedMs >= this.#deadlineMs) throw new Overrun(`ran past its ${this.#deadlineMs} ms`);
    if (this.#slices > FUEL_SLICES_MAX) throw new Overrun('used up its instructions');
  }

  #imports(tick: () => void): WebAssembly.ModuleImports {
    return {
      memory: this.#memory,
      opa_abort: (address: number): void => {
        if (address === OUT_OF_FUEL) tick();
        else
          throw new Aborted(readText(this.#memory, address, ABORT_TEXT_BYTES) ?? 'aborted without a readable reason');
      },
      opa_println: (): void => undefined,
      opa_builtin0: callBuiltin,
      opa_builtin1: callBuiltin,
      opa_builtin2: callBuiltin,
      opa_builtin3: callBuiltin,
      opa_builtin4: callBuiltin,
    };
  }

  #table(exports: WebAssembly.Exports, name: string): Readonly<Record<string, unknown>> {
    const address = (exports[name] as () => number)();
    const text = readText(
      this.#memory,
      (exports['opa_json_dump'] as (address: number) => number)(address),
      TABLE_BYTES,
    );
    if (text === undefined) throw refused(`module has no readable table of ${name}`);
    return Object.assign(Object.create(null), JSON.parse(text)) as Readonly<Record<string, unknown>>;
  }
}

type OpaEval = (
  reserved: number,
  entrypoint: number,
  data: number,
  input: number,
  inputLength: number,
  heap: number,
  format: number,
) => number;

/** The module ran out of time or fuel. */
class Overrun extends Error {}
/** The module aborted, or called what it may not call. */
class Aborted extends Error {}

function callBuiltin(id: number): never {
  throw new Aborted(`called built-in ${id} of the host`);
}

function failureOf(thrown: unknown): LayerFailed {
  const detail = describeThrown(thrown);
  if (thrown instanceof Overrun || thrown instanceof Interrupted) return failed('timeout', detail);
  if (thrown instanceof Aborted) return failed(detail.includes('malloc') ? 'memory' : 'threw', detail);
  if (thrown instanceof RangeError) return failed(/call stack/i.test(detail) ? 'stack' : 'memory', detail);
  return failed('threw', detail);
}

function globalOf(exports: WebAssembly.Exports, name: string): number | undefined {
  const global = exports[name];
  return global instanceof WebAssembly.Global && typeof global.value === 'number' ? global.value : undefined;
}

function refused(why: string, cause?: unknown): WeirError {
  return new WeirError('engine_failed', `policy module refused: ${why}`, cause === undefined ? {} : { cause });
}
