// The address guard: when a host was named by an upstream document and not by the operator, its name is resolved here
// and every address it resolves to must be public, of the kind that the configured base itself has, or the base's own. The
// check sits in the connection's own look-up, so that a name cannot change between the check and the connection.

import { lookup as resolveName } from 'node:dns';
import { lookup as resolveNamePromise } from 'node:dns/promises';
import { isIP, type LookupFunction } from 'node:net';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import { classOfAddress } from './address-class.ts';

/** Address classes, and single addresses beside them. */
export type AddressGuard = ReadonlySet<string>;

/** Refuses an address literal, which never reaches a look-up. */
export function assertHostAllowed(hostname: string, allowed: AddressGuard): void {
  const address = hostname.replace(/^\[(.*)\]$/, '$1');
  if (isIP(address) !== 0) assertAddressAllowed(hostname, address, allowed);
}

/** A look-up for `net.connect` that fails unless every resolved address is allowed. */
export function guardedLookup(allowed: AddressGuard): LookupFunction {
  return (hostname, options, callback) => {
    resolveName(hostname, { ...options, all: true }, (error, addresses) => {
      if (error !== null) {
        callback(error, '', 0);
        return;
      }
      try {
        for (const { address } of addresses) assertAddressAllowed(hostname, address, allowed);
      } catch (refusal) {
        callback(refusal as NodeJS.ErrnoException, '', 0);
        return;
      }
      const [first] = addresses;
      if (options.all === true) callback(null, addresses);
      else callback(null, first?.address ?? '', first?.family);
    });
  };
}

/**
 * Where files of a registry may live: at public addresses, at private or loopback ones where the base itself is, and at the
 * base's own address where that is of a kind reserved for networks of one's own making.
 * Link-local and cloud metadata addresses are never among them.
 */
export async function allowedClasses(baseHostname: string): Promise<AddressGuard> {
  const host = baseHostname.replace(/^\[(.*)\]$/, '$1');
  const addresses = isIP(host) === 0 ? await resolveAll(host) : [host];
  const allowed = new Set<string>(['public']);
  for (const address of addresses) {
    const found = classOfAddress(address);
    if (found === 'private' || found === 'loopback') allowed.add(found);
    if (found === 'reserved' && !UNSPECIFIED.has(address)) allowed.add(address);
  }
  return allowed;
}

/** These reach this very machine. */
const UNSPECIFIED: ReadonlySet<string> = new Set(['0.0.0.0', '::']);

async function resolveAll(host: string): Promise<readonly string[]> {
  try {
    return (await resolveNamePromise(host, { all: true })).map(({ address }) => address);
  } catch {
    // A base that only the corporate proxy can resolve: nothing beyond public addresses is allowed on its account.
    return [];
  }
}

function assertAddressAllowed(host: string, address: string, allowed: AddressGuard): void {
  const found = classOfAddress(address);
  if (allowed.has(found) || allowed.has(address)) return;
  throw new WeirError('upstream_failed', 'the upstream registry led to an address that is not allowed', {
    next: 'ask the operator of this spoke to list the host among the allowed hosts of this registry',
    detail: { fault: 'address_refused' },
    internal: { host, address, class: found },
  });
}
