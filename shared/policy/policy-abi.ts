// The memory side of OPA's wasm ABI: texts that a module points at. Every read is bounded, because a module may point
// anywhere; the SDK's own reader runs on for ever when no zero byte follows.

/** Bytes of one wasm page. */
export const PAGE = 65_536;

/** Bytes from `address` up to the next zero byte; undefined when there is none within `max` bytes or the address lies outside. */
export function readText(memory: WebAssembly.Memory, address: number, max: number): string | undefined {
  const start = address >>> 0;
  const size = memory.buffer.byteLength;
  if (start >= size) return undefined;
  const window = Buffer.from(memory.buffer, start, Math.min(max + 1, size - start));
  const end = window.indexOf(0);
  return end < 0 ? undefined : window.toString('utf8', 0, end);
}

/** Grows the memory until `end` fits. @throws RangeError beyond its maximum */
export function reserve(memory: WebAssembly.Memory, end: number): void {
  const missing = end - memory.buffer.byteLength;
  if (missing > 0) memory.grow(Math.ceil(missing / PAGE));
}
