import assert from 'node:assert/strict';
import { test } from 'node:test';
import { factsInView, factsOfArtifact } from './facts.ts';
import { evaluateNameSignals, evaluateSignals } from './findings.ts';
import { AT, DAY, facts, file, known, missing, release, releases, settingsWith } from './signals/facts-for-tests.ts';
import { SIGNALS } from './signals/index.ts';

test('every signal of the list answers under its own name', () => {
  const evidence = evaluateSignals(facts(), AT);
  assert.deepEqual(
    Object.keys(evidence),
    SIGNALS.map((signal) => signal.name),
  );
  assert.equal(new Set(SIGNALS.map((signal) => signal.name)).size, SIGNALS.length);
  assert.equal(new Set(SIGNALS.map((signal) => signal.id)).size, SIGNALS.length);
  for (const signal of SIGNALS) {
    assert.match(signal.id, /^S\d\d$/);
    assert.match(signal.name, /^[a-z][a-z_]*$/);
    assert.match(signal.question, /\?$/);
  }
});

test('a signal that throws becomes unknown and the others still answer', () => {
  const broken = known(release());
  Object.defineProperty(broken, 'value', {
    get: () => {
      // oxlint-disable-next-line no-throw-literal -- foreign code throws anything
      throw 'hostile';
    },
  });
  const evidence = evaluateSignals(facts({ release: broken }), AT);
  assert.deepEqual(evidence['age'], { state: 'unknown', severity: 'none', value: {}, reason: 'signal_failed' });
  assert.equal(evidence['known_malicious']?.state, 'clear');
});

test('old versions of a quiet package all have the same evidence', () => {
  const list = Array.from({ length: 500 }, (_, i) =>
    release({ version: `1.0.${i}`, publishedAt: AT - (100 + i) * DAY }),
  );
  const shared = { ...facts(), releases: known(releases(list)) };
  const classes = new Set(list.map((each) => JSON.stringify(evaluateSignals(factsInView(shared, each), AT))));
  assert.equal(classes.size, 1);
});

test('before upstream is contacted only the name is judged', () => {
  const settings = settingsWith({}, { npm: ['@corp/*'] });
  const evidence = evaluateNameSignals({ ecosystem: 'npm', namespace: '@corp', name: 'x' }, settings, AT);
  const { namespace_shadow, ...rest } = evidence;
  assert.equal(namespace_shadow?.state, 'hit');
  assert.equal(Object.keys(rest).length, SIGNALS.length - 1);
  for (const outcome of Object.values(rest))
    assert.deepEqual(outcome, { state: 'not_applicable', severity: 'none', value: {}, reason: 'before_upstream' });
});

test('an artifact the index does not list leaves its facts missing', () => {
  const shared = { ...facts(), releases: known(releases([release()])) };
  const nothing = { file: undefined, content: missing('not_fetched'), coreMetadata: missing('not_fetched') };
  const unlisted = evaluateSignals(factsOfArtifact(shared, '9.9.9', nothing), AT);
  assert.equal(unlisted['age']?.reason, 'not_listed');
  assert.equal(unlisted['index_hash_mismatch']?.reason, 'not_listed');
  const listed = evaluateSignals(factsOfArtifact(shared, '1.0.0', { ...nothing, file: file() }), AT);
  assert.equal(listed['age']?.state, 'clear');
  assert.equal(listed['index_hash_mismatch']?.reason, 'not_fetched');
  const offline = { ...shared, releases: missing('upstream_failed') };
  assert.equal(evaluateSignals(factsOfArtifact(offline, '1.0.0', nothing), AT)['age']?.reason, 'upstream_failed');
});
