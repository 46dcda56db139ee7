// Reads one member of a gzipped tar in memory. OPA writes absolute member names and a stub beside the module, so its
// archives are never unpacked to a disk.

import { gunzipSync } from 'node:zlib';
import { WeirError } from '@weir/shared/errors/weir-error.ts';

const BLOCK = 512;

/** Bytes of the only regular file called `name`; undefined when there is none. Throws `corrupt` or `too_large`. */
export function readTarMember(archive: Uint8Array, name: string, maxBytes: number): Uint8Array | undefined {
  const tar = gunzip(archive, maxBytes);
  let found: Uint8Array | undefined;
  for (let at = 0; at + BLOCK <= tar.length; ) {
    const header = tar.subarray(at, at + BLOCK);
    if (header.every((byte) => byte === 0)) break;
    const size = octal(header.subarray(124, 136));
    const start = at + BLOCK;
    if (size === undefined || start + size > tar.length || !sumMatches(header)) {
      throw new WeirError('corrupt', 'the archive of opa is damaged');
    }
    const type = header[156];
    if ((type === 0 || type === 0x30) && nameOf(header) === name) {
      if (found !== undefined) throw new WeirError('corrupt', 'the archive of opa has a member twice');
      found = tar.slice(start, start + size);
    }
    at = start + Math.ceil(size / BLOCK) * BLOCK;
  }
  return found;
}

function gunzip(archive: Uint8Array, maxBytes: number): Uint8Array {
  try {
    return gunzipSync(archive, { maxOutputLength: maxBytes });
  } catch (cause) {
    throw new WeirError('corrupt', 'the archive of opa cannot be unpacked', { cause });
  }
}

function nameOf(header: Uint8Array): string {
  const prefix = text(header.subarray(345, 500));
  const name = text(header.subarray(0, 100));
  return prefix === '' ? name : `${prefix}/${name}`;
}

function octal(field: Uint8Array): number | undefined {
  const digits = text(field).trim();
  return /^[0-7]{1,11}$/.test(digits) ? Number.parseInt(digits, 8) : undefined;
}

function text(field: Uint8Array): string {
  const end = field.indexOf(0);
  return Buffer.from(end < 0 ? field : field.subarray(0, end)).toString('latin1');
}

function sumMatches(header: Uint8Array): boolean {
  let sum = 0;
  for (const [index, byte] of header.entries()) sum += index >= 148 && index < 156 ? 0x20 : byte;
  return octal(header.subarray(148, 156)) === sum;
}
