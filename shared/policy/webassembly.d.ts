// The part of the WebAssembly JavaScript interface that the engine uses. TypeScript has these types only as part of a
// browser's, and everything else of a browser must stay unknown to this code.

declare namespace WebAssembly {
  class Module {
    private readonly module: never;
    constructor(bytes: Uint8Array);
  }

  type ExportValue = ((...args: never[]) => unknown) | Global | Memory | object;
  type Exports = Readonly<Record<string, ExportValue | undefined>>;
  type ModuleImports = Record<string, ((...args: never[]) => unknown) | Memory>;

  class Instance {
    constructor(module: Module, imports: Record<string, ModuleImports>);
    readonly exports: Exports;
  }

  interface MemoryDescriptor {
    readonly initial: number;
    readonly maximum?: number;
  }

  class Memory {
    constructor(descriptor: MemoryDescriptor);
    readonly buffer: ArrayBuffer;
    /** @returns the size before, in pages; throws RangeError beyond the maximum */
    grow(pages: number): number;
  }

  class Global {
    value: unknown;
  }

  interface WebAssemblyInstantiatedSource {
    readonly instance: Instance;
    readonly module: Module;
  }

  function validate(bytes: Uint8Array): boolean;
  function compile(bytes: Uint8Array): Promise<Module>;
}
