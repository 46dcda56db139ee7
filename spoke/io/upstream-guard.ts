// The address guard: when a host was named by an upstream document and not by the operator, its name is resolved here
// and every address it resolves to must be public, or of the kind that the configured base itself has. The check sits in
// the connection's own look-up, so that a name cannot change between the check and the connection.

import { lookup as resolveName } from 'node:dns';
import { lookup as resolveNamePromise } from 'node:dns/promises';
import { isIP, type LookupFunction } from 'node:net';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import { type AddressClass, classOfAddress } from './address-class.ts';

/** Refuses an address literal, which never reaches a look-up. */
export function assertHostAllowed(hostname: string, allowed: ReadonlySet<AddressClass>): void {
  const address = hostname.replace(/^\[(.*)\]$/, '$1');
  if (isIP(address) !== 0) assertAddressAllowed(hostname, address, allowed);
}

/** A look-up for `net.connect` that fails unless every resolved address is allowed. */
export function guardedLookup(allowed: ReadonlySet<AddressClass>): LookupFunction {
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
 * Kinds of address that files of a registry may live at: public, and private or loopback where the base itself is.
 * Link-local and cloud metadata addresses are never among them.
 */
export async function allowedClasses(baseHostname: string): Promise<ReadonlySet<AddressClass>> {
  const host = baseHostname.replace(/^\[(.*)\]$/, '$1');
  const addresses = isIP(host) === 0 ? await resolveAll(host) : [host];
  const allowed = new Set<AddressClass>(['public']);
  for (const address of addresses) {
    const found = classOfAddress(address);
    if (found === 'private' || found === 'loopback') allowed.add(found);
  }
  return allowed;
}

async function resolveAll(host: string): Promise<readonly string[]> {
  try {
    return (await resolveNamePromise(host, { all: true })).map(({ address }) => address);
  } catch {
    // A base that only the corporate proxy can resolve: nothing beyond public addresses is allowed on its account.
    return [];
  }
}

function assertAddressAllowed(host: string, address: string, allowed: ReadonlySet<AddressClass>): void {
  const found = classOfAddress(address);
  if (allowed.has(found)) return;
  throw new WeirError('upstream_failed', 'the upstream registry led to an address that is not allowed', {
    next: 'ask the operator of this spoke to list the host among the allowed hosts of this registry',
    detail: { fault: 'address_refused' },
    internal: { host, address, class: found },
  });
}
