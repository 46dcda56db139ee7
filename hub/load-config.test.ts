import assert from 'node:assert/strict';
import { test } from 'node:test';
import { z } from 'zod';
import { loadConfig } from './load-config.ts';

const schema = z.strictObject({
  name: z.string().default('weir'),
  admin: z.strictObject({ host: z.string().default('127.0.0.1'), port: z.int().default(7440) }).prefault({}),
});
const variables = { WEIR_ADMIN_PORT: 'admin.port', WEIR_NAME: 'name' };

function load(text: string | undefined, env: Record<string, string> = {}) {
  return loadConfig(schema, { text, file: 'hub.json', env, variables });
}

test('defaults hold, the file overrides them, the environment overrides both', () => {
  assert.deepEqual(load(undefined).value, { name: 'weir', admin: { host: '127.0.0.1', port: 7440 } });
  const { value, origins } = load('{"name":"a","admin":{"port":1}}', { WEIR_ADMIN_PORT: '2' });
  assert.deepEqual(value, { name: 'a', admin: { host: '127.0.0.1', port: 2 } });
  assert.deepEqual(Object.fromEntries(origins), { name: 'file', 'admin.port': 'environment' });
});

test('the value is frozen all the way down', () => {
  assert.ok(Object.isFrozen(load(undefined).value.admin));
});

test('unknown keys and every other fault are named together, with the variable they came from', () => {
  assert.throws(
    () => load('{"nmae":"a","admin":{"host":3}}', { WEIR_ADMIN_PORT: 'many' }),
    (error: Error) => {
      assert.match(error.message, /nmae/);
      assert.match(error.message, /admin\.host/);
      assert.match(error.message, /admin\.port \(from WEIR_ADMIN_PORT\)/);
      return true;
    },
  );
});

test('a file that is not a JSON object is refused', () => {
  assert.throws(() => load('{'), /hub\.json is not JSON/);
  assert.throws(() => load('[]'), /not a JSON object/);
});
