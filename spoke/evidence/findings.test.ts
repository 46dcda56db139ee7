import assert from 'node:assert/strict';
import { test } from 'node:test';
import { evaluateNameSignals, evaluateSignals } from './findings.ts';
import { AT, DAY, facts, known, release, releases, settingsWith } from './signals/facts-for-tests.ts';
import { SIGNALS } from './signals/index.ts';

test('every signal of the list answers under its own name', () => {
  const evidence = evaluateSignals(facts(), AT);
  assert.deepEqual(Object.keys(evidence), SIGNALS.map((signal) => signal.name).toSorted());
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
  const classes = new Set(
    list.map((each) => JSON.stringify(evaluateSignals({ ...shared, version: each.version, release: known(each) }, AT))),
  );
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
