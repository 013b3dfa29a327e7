import { randomBytes, randomInt } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { pino } from 'pino';
import { describe, expect, test } from 'vitest';
import { describeStores } from '../../test/harness/stores.ts';
import { PEER_PRINCIPAL } from '../shared/interceptors/principal.ts';
import { hashKey, isSameHash, parseKey } from './api-key.ts';
import { clientAs } from './auth.fixture.ts';
import { authConfigSchema } from './config.ts';
import { createAuthContext } from './context.ts';
import { endOfSecret } from './secret-end.ts';
import type { KeyRecord } from './store/key-store.ts';
import { middle, welchT } from './welch.fixture.ts';

const SAMPLES = 20_000;

/** Beyond this two sets of measurements are not of one kind. */
const LIMIT = 4.5;

/** Tries of which the middle one counts: a machine that does other work has bad moments. */
const ROUNDS = 3;

/** So often is compared per measurement, that the clock sees it. */
const PER_SAMPLE = 50;

describe('the time of a comparison', () => {
  const known = randomBytes(32);
  const guesses = [withOther(known, 0), withOther(known, 31)] as const;
  // Both are compared from one place: where an object lies in memory shows in the times, whatever its bytes are.
  const presented = Buffer.alloc(32);
  const timesOf = (compare: (guess: Buffer) => unknown) =>
    middleT(guesses, (guess) => {
      guess.copy(presented);
      const startedAt = process.hrtime.bigint();
      for (let i = 0; i < PER_SAMPLE; i += 1) compare(presented);
      return Number(process.hrtime.bigint() - startedAt);
    });

  test('does not tell whether two hashes differ in the first or in the last byte', async () => {
    const hash = known.toString('hex');
    const record = { hash, previous: [] } as Partial<KeyRecord> as KeyRecord;
    expect(await timesOf((guess) => isSameHash(known, guess))).toBeLessThan(LIMIT);
    expect(await timesOf((guess) => endOfSecret(record, guess))).toBeLessThan(LIMIT);
  });

  test('would tell if it stopped where they differ: the measure sees that', async () => {
    const stopping = (guess: Buffer): boolean => known.every((byte, i) => byte === guess[i]);
    expect(await timesOf(stopping)).toBeGreaterThan(LIMIT);
  });
});

describeStores('the time of a check', (stores) => {
  test.runIf(stores.kind === 'sqlite')('does not tell how much of a key was guessed', async () => {
    let nowMs = 0;
    const pepper = Buffer.alloc(32, 1);
    const log = pino({ level: 'silent' });
    const store = await stores.openEmpty();
    const context = createAuthContext(authConfigSchema.parse({}), { store, pepper, now: () => nowMs, log });
    const { secret } = await clientAs(context, PEER_PRINCIPAL).createApiKey({});
    // Wrong in the first and in the last character of the secret part; both are looked up, and compared with what is stored.
    const guesses = [withOtherCharacter(secret, 16), withOtherCharacter(secret, 58)] as const;
    expect(guesses.map((guess) => parseKey(guess))).toEqual([parseKey(secret), parseKey(secret)]);
    expect(hashKey(guesses[0], pepper)).not.toEqual(hashKey(guesses[1], pepper));
    const t = await middleT(guesses, async (guess) => {
      // Each failure counts, and so many of them at once would not be looked up.
      nowMs += 60_000;
      const startedAt = process.hrtime.bigint();
      await context.authenticate(guess, { clientIp: '192.0.2.1', boundToLoopback: true }).catch(() => undefined);
      return Number(process.hrtime.bigint() - startedAt);
    });
    expect(t).toBeLessThan(LIMIT);
  });
});

/** Measures two guesses in an order that chance decides, so that the machine's moods meet both alike. */
async function middleT<G>(guesses: readonly [G, G], measure: (guess: G) => number | Promise<number>): Promise<number> {
  const rounds: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const samples: [number[], number[]] = [[], []];
    for (let i = 0; i < SAMPLES; i += 1) {
      const which = randomInt(2) === 0 ? 0 : 1;
      samples[which].push(await measure(guesses[which]));
    }
    rounds.push(welchT(...samples));
  }
  return middle(rounds);
}

function withOther(hash: Buffer, index: number): Buffer {
  return Buffer.from(hash.map((byte, i) => (i === index ? byte ^ 255 : byte)));
}

const DIGITS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

/** Another key of the same id, with a checksum that is right. */
function withOtherCharacter(key: string, index: number): string {
  const body = `${key.slice(0, index)}${key[index] === 'a' ? 'b' : 'a'}${key.slice(index + 1, -6)}`;
  let rest = crc32(body);
  let digits = '';
  while (digits.length < 6) {
    digits = DIGITS.charAt(rest % DIGITS.length) + digits;
    rest = Math.floor(rest / DIGITS.length);
  }
  return body + digits;
}
