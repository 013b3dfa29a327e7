import { decodeCounted } from '../../services/quota/store/counted-codec.ts';
import { COUNTER_PREFIX, LEASE_PREFIX } from '../../services/quota/store/redis-keys.ts';
import type { LeaseFigures, StoreStep } from './history.ts';

/** What a write of the quota store says: a lease as it is from then on, or what a counter holds. */
export type StoreWrite =
  | { readonly kind: 'lease'; readonly lease: Omit<StoreStep, 'atMs' | 'heldByCounter'> & LeaseTimes }
  | { readonly kind: 'counter'; readonly counter: string; readonly held: number };

interface LeaseTimes {
  readonly expiresAtMs: number;
  readonly endedAtMs: number;
}

const STATES: Readonly<Record<string, LeaseFigures['state']>> = {
  h: 'held',
  s: 'settled',
  r: 'released',
  e: 'expired',
};

/** A letter, a byte, and eight doubles; redis-lease.ts packs them. */
const FIGURES_BYTES = 66;

/** A write as Redis was told it; undefined: of something else. */
export function storeWrite(command: string, key: string, value: Buffer): StoreWrite | undefined {
  if (key.startsWith(COUNTER_PREFIX)) {
    const counter = key.slice(COUNTER_PREFIX.length);
    // A letter for its kind, then what it holds; redis-budget.ts packs it. One that says nothing is not kept.
    return { kind: 'counter', counter, held: command === 'DEL' ? 0 : heldIn(value) };
  }
  if (!key.startsWith(LEASE_PREFIX) || command !== 'SET') return undefined;
  return { kind: 'lease', lease: leaseFrom(key.slice(LEASE_PREFIX.length), value) };
}

/** What a counter holds, from what is kept of it. */
export function heldIn(counter: Buffer): number {
  return counter.readDoubleLE(1);
}

function leaseFrom(leaseId: string, bytes: Buffer): Extract<StoreWrite, { readonly kind: 'lease' }>['lease'] {
  const state = STATES[String.fromCharCode(bytes[0] ?? 0)];
  if (!state) throw new Error(`the lease ${leaseId} is kept in another form than this checker knows`);
  const [bound = 0, prompt = 0, completion = 0, covered = 0, max = 0, taken = 0, expires = 0, ended = 0] = Array.from(
    { length: 8 },
    (_, i) => bytes.readDoubleLE(2 + 8 * i),
  );
  const [, holder = '', limits = ''] = textsFrom(bytes.subarray(FIGURES_BYTES));
  const [, , keyId = ''] = JSON.parse(`${holder}""]`) as string[];
  const figures = {
    ...{ state, isCounted: bytes[1] === 1, promptBound: bound, promptTokens: prompt < 0 ? undefined : prompt },
    ...{ completionTokens: completion, coveredTokens: covered, maxCompletionTokens: max },
  };
  const times = { takenAtMs: taken, expiresAtMs: expires, endedAtMs: ended };
  return { leaseId, keyId, figures, limits: decodeCounted(limits), ...times };
}

/** Texts with their lengths before them. */
function textsFrom(bytes: Buffer): string[] {
  const texts: string[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = at + 4 + bytes.readUInt32LE(at);
    texts.push(bytes.toString('utf8', at + 4, end));
    at = end;
  }
  return texts;
}
