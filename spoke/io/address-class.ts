// Where an IP address lives: the question behind the server-side request forgery guard. An address that embeds an IPv4
// address (mapped, NAT64, 6to4) is judged by the embedded one, so no spelling of an internal address looks public.

import { BlockList, isIPv4, isIPv6 } from 'node:net';

/**
 * `metadata`: a cloud provider's instance endpoint; `reserved`: unspecified, multicast, broadcast, documentation and
 * the like, which no registry lives on.
 */
export type AddressClass = 'public' | 'private' | 'loopback' | 'link_local' | 'metadata' | 'reserved';

// The first list that contains the address names its class.
const CLASSES: readonly (readonly [AddressClass, BlockList])[] = [
  [
    'metadata',
    listOf(['169.254.169.254/32', '100.100.100.200/32', '168.63.129.16/32', '192.0.0.192/32', 'fd00:ec2::254/128']),
  ],
  ['loopback', listOf(['127.0.0.0/8', '::1/128'])],
  ['link_local', listOf(['169.254.0.0/16', 'fe80::/10'])],
  ['private', listOf(['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10', 'fc00::/7', 'fec0::/10'])],
  [
    'reserved',
    listOf([
      '0.0.0.0/8',
      '192.0.0.0/24',
      '192.0.2.0/24',
      '192.88.99.0/24',
      '198.18.0.0/15',
      '198.51.100.0/24',
      '203.0.113.0/24',
      '224.0.0.0/4',
      '240.0.0.0/4',
      '::/128',
      '100::/64',
      '2001::/23',
      '2001:db8::/32',
      '3fff::/20',
      '5f00::/16',
      'ff00::/8',
    ]),
  ],
];

// Prefixes whose addresses carry an IPv4 address, and the 16-bit group where it starts.
const EMBEDDINGS: readonly (readonly [BlockList, number])[] = [
  [listOf(['::ffff:0:0/96']), 6],
  [listOf(['::/96']), 6],
  [listOf(['64:ff9b::/96']), 6],
  [listOf(['64:ff9b:1::/48']), 6],
  [listOf(['2002::/16']), 1],
];

/** Class of a textual IPv4 or IPv6 address (no brackets; a zone index is ignored); `reserved` for anything else. */
export function classOfAddress(address: string): AddressClass {
  if (isIPv4(address)) return classIn(address, 'ipv4');
  if (!isIPv6(address)) return 'reserved';
  const groups = groupsOf(address.split('%', 1)[0] ?? '');
  const plain = groups.map((group) => group.toString(16)).join(':');
  const own = classIn(plain, 'ipv6');
  if (own !== 'public') return own;
  for (const [prefix, at] of EMBEDDINGS) {
    if (prefix.check(plain, 'ipv6')) return classIn(ipv4At(groups, at), 'ipv4');
  }
  return 'public';
}

function classIn(address: string, family: 'ipv4' | 'ipv6'): AddressClass {
  for (const [name, list] of CLASSES) {
    if (list.check(address, family)) return name;
  }
  return 'public';
}

/** The eight 16-bit groups of a valid IPv6 text. */
function groupsOf(address: string): readonly number[] {
  const [head = '', tail] = address.split('::');
  const left = groupsOfPart(head);
  if (tail === undefined) return left;
  const right = groupsOfPart(tail);
  return [...left, ...Array.from({ length: 8 - left.length - right.length }, () => 0), ...right];
}

function groupsOfPart(part: string): number[] {
  if (part === '') return [];
  return part.split(':').flatMap((piece) => {
    if (!piece.includes('.')) return [Number.parseInt(piece, 16)];
    const [a = 0, b = 0, c = 0, d = 0] = piece.split('.').map(Number);
    return [a * 256 + b, c * 256 + d];
  });
}

function ipv4At(groups: readonly number[], at: number): string {
  const high = groups[at] ?? 0;
  const low = groups[at + 1] ?? 0;
  return `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`;
}

function listOf(subnets: readonly string[]): BlockList {
  const list = new BlockList();
  for (const subnet of subnets) {
    const [network = '', prefix = ''] = subnet.split('/');
    list.addSubnet(network, Number(prefix), network.includes(':') ? 'ipv6' : 'ipv4');
  }
  return list;
}
