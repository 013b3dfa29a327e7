import { expect, test } from 'vitest';
import { PUBLISH_AHEAD_MS, ROTATE_AFTER_MS, signingKeySchedule, TOKEN_LIFE_MS } from './signing-key-schedule.ts';
import type { SigningKeyRecord, TokenAlgorithm } from './store/signing-key-store.ts';

function key(kid: string, signsFromMs: number, algorithm: TokenAlgorithm = 'EdDSA'): SigningKeyRecord {
  return { kid, algorithm, sealed: '', publishedAtMs: signsFromMs - PUBLISH_AHEAD_MS, signsFromMs };
}

function at(keys: readonly SigningKeyRecord[], nowMs: number, algorithm: TokenAlgorithm = 'EdDSA') {
  const { signs, published, makeNextAtMs } = signingKeySchedule(keys, nowMs, algorithm);
  return { signs: signs?.kid, published: published.map(({ kid }) => kid).join(), due: makeNextAtMs <= nowMs };
}

const START = 1_000_000_000;
const SECOND = START + ROTATE_AFTER_MS;
const keys = [key('a', START), key('b', SECOND)];

test('without a key one is due', () => {
  expect(at([], START)).toEqual({ signs: undefined, published: '', due: true });
});

test('the next key is made 10 minutes before it signs', () => {
  const due = SECOND - 600_000;
  expect(at([key('a', START)], due - 1)).toEqual({ signs: 'a', published: 'a', due: false });
  expect(at([key('a', START)], due)).toEqual({ signs: 'a', published: 'a', due: true });
});

test('a key that waits is published and does not sign', () => {
  expect(at(keys, SECOND - 1)).toEqual({ signs: 'a', published: 'a,b', due: false });
  expect(at(keys, SECOND)).toEqual({ signs: 'b', published: 'a,b', due: false });
});

test('the old one verifies until its last token has expired, that of a slow clock included', () => {
  expect(at(keys, SECOND + TOKEN_LIFE_MS + 59_999).published).toBe('a,b');
  expect(at(keys, SECOND + TOKEN_LIFE_MS + 60_000).published).toBe('b');
});

test('another algorithm makes the next key due at once, unless one waits already', () => {
  expect(at([key('a', START)], START + 1, 'ES256')).toEqual({ signs: 'a', published: 'a', due: true });
  expect(at(keys, SECOND - 1, 'ES256').due).toBe(false);
  expect(at([key('a', START), key('b', SECOND, 'ES256')], SECOND, 'ES256').due).toBe(false);
});

test('the only key signs also where the clock is behind', () => {
  expect(at([key('a', START)], START - 2_000)).toEqual({ signs: 'a', published: 'a', due: false });
});
