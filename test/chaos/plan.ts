import type { EnginePlan } from './counting-engine.ts';

/** Numbers from 0 to 1 that look random and are the same in every run (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** What a client does. */
export interface RequestPlan {
  readonly requestId: string;
  readonly engine: EnginePlan;
  readonly protocol: 'sse' | 'json' | 'grpc';
  /** The most tokens that it asks for; more than the engine makes. */
  readonly maxTokens: number;
  /** The token at which it leaves: where the engine waits for that, else in the midst of the stream. Unset: it stays. */
  readonly leaveAt?: number;
  /** The address that it comes from. */
  readonly address: string;
}

/** Pause of the engines between two tokens, in milliseconds. */
const EVERY_MS = 40;

/** The plan of the request of a number: most are short, some long enough to run out of tokens, some are left. */
export function planOf(number: number, random: () => number): RequestPlan {
  const upTo = (most: number): number => 1 + Math.floor(random() * most);
  const kind = random();
  const isLong = kind < 0.25;
  const tokens = isLong ? 60 + upTo(120) : upTo(30);
  const maxTokens = isLong ? 400 : 40;
  const protocol = kind < 0.5 ? (kind < 0.12 || kind > 0.36 ? 'grpc' : 'sse') : random() < 0.3 ? 'json' : 'sse';
  const common = {
    ...({ requestId: `chaos-${number}`, protocol, maxTokens, address: `192.0.2.${upTo(4)}` } as const),
  };
  const leaves = random();
  const leaveAt = upTo(tokens);
  const engine = { tokens, everyMs: EVERY_MS, logprobs: random() < 0.5 };
  if (leaves < 0.12 && protocol !== 'json') {
    return { ...common, leaveAt, engine: { ...engine, waitAt: leaveAt } };
  }
  if (leaves < 0.2 && protocol !== 'json') return { ...common, leaveAt, engine };
  return { ...common, engine };
}
