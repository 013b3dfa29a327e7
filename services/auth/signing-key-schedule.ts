import type { SigningKeyRecord, TokenAlgorithm } from './store/signing-key-store.ts';

/** How long a token lives, in milliseconds. */
export const TOKEN_LIFE_MS = 86_400_000;

/** How long a key signs before the next one does, in milliseconds. */
export const ROTATE_AFTER_MS = 30 * 86_400_000;

/** How long a key is published before it signs, in milliseconds: whoever keeps a copy of the set has it by then. */
export const PUBLISH_AHEAD_MS = 600_000;

/** How much later than its successor's start a process whose clock is wrong may still sign with a key, in milliseconds. */
const CLOCK_MARGIN_MS = 60_000;

/** What each key does now. */
export interface SigningKeySchedule {
  /** The one that signs; undefined: there is none yet. */
  readonly signs: SigningKeyRecord | undefined;
  /** Those that verify, the one that will sign next included. */
  readonly published: readonly SigningKeyRecord[];
  /** When the next one is to be made, in milliseconds since the epoch. */
  readonly makeNextAtMs: number;
}

/**
 * What each key does at a time. A key verifies until the last token that it signed has expired. Pure.
 *
 * @param keys in the order in which they were made
 * @param algorithm what tokens shall be signed with; with another one, the next key is made at once
 */
export function signingKeySchedule(
  keys: readonly SigningKeyRecord[],
  nowMs: number,
  algorithm: TokenAlgorithm,
): SigningKeySchedule {
  // Where the clock is behind that of the process that made the only one, it signs all the same.
  const signs = keys.findLast((key) => key.signsFromMs <= nowMs) ?? keys[0];
  const published = keys.filter((_, i) => {
    const next = keys[i + 1];
    return !next || nowMs < next.signsFromMs + TOKEN_LIFE_MS + CLOCK_MARGIN_MS;
  });
  return { signs, published, makeNextAtMs: makeNextAtMs(keys.at(-1), algorithm, nowMs) };
}

function makeNextAtMs(newest: SigningKeyRecord | undefined, algorithm: TokenAlgorithm, nowMs: number): number {
  if (!newest) return nowMs;
  // One that waits goes first, else two processes that disagree would make keys without end.
  if (newest.signsFromMs > nowMs) return newest.signsFromMs + ROTATE_AFTER_MS - PUBLISH_AHEAD_MS;
  if (newest.algorithm !== algorithm) return nowMs;
  return newest.signsFromMs + ROTATE_AFTER_MS - PUBLISH_AHEAD_MS;
}
