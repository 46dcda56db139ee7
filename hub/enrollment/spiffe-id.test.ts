import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hubId, readSpokeId, spokeId } from './spiffe-id.ts';

const NAME = { workspace: 'acme', unit: 'payments', spoke: 'eu-1' };

test('an id names the spoke that it was made for', () => {
  assert.equal(spokeId(NAME), 'spiffe://acme.weir/unit/payments/spoke/eu-1');
  assert.deepEqual(readSpokeId(spokeId(NAME)), NAME);
});

const REFUSED: readonly (readonly [string, string])[] = [
  ['the hub', hubId('acme')],
  ['another scheme', 'https://acme.weir/unit/payments/spoke/eu-1'],
  ['another case', 'spiffe://acme.weir/unit/Payments/spoke/eu-1'],
  ['a trailing slash', 'spiffe://acme.weir/unit/payments/spoke/eu-1/'],
  ['a query', 'spiffe://acme.weir/unit/payments/spoke/eu-1?x'],
  ['a port', 'spiffe://acme.weir:443/unit/payments/spoke/eu-1'],
  ['an empty name', 'spiffe://acme.weir/unit//spoke/eu-1'],
  ['a climbing path', 'spiffe://acme.weir/unit/payments/spoke/../x'],
  ['an escape', 'spiffe://acme.weir/unit/payments/spoke/eu%2D1'],
  ['a second line', 'spiffe://acme.weir/unit/payments/spoke/eu-1\n'],
  ['a longer trust domain', 'spiffe://acme.weir.example/unit/payments/spoke/eu-1'],
  ['nothing', ''],
];

for (const [what, id] of REFUSED) {
  test(`an id with ${what} names no spoke`, () => assert.equal(readSpokeId(id), undefined));
}
