import type { LimitState } from '../budget.ts';

/**
 * A counter as bytes, little-endian: doubles, the first of which says from when on it says nothing and the second which kind it is; of
 * a window the steps follow, of each how many it is before the newest and what was spent in it, 4 bytes each. Version 2 of the file
 * had the counts of all steps, the newest first.
 *
 * @returns bytes that are written over by the next call
 */
export function encodeCounter(state: LimitState, idleAtMs: number): Uint8Array {
  switch (state.kind) {
    case 'window': {
      const { held, newestStep, steps } = state;
      const length = WINDOW_HEADER_BYTES + 4 * steps.length;
      if (length > scratch.length) scratch = Buffer.alloc(2 * length);
      put(idleAtMs, WINDOW, held, newestStep);
      for (let i = 0, at = WINDOW_HEADER_BYTES; i < steps.length; i += 2, at += 8) {
        scratch.writeUInt32LE(newestStep - (steps[i] ?? 0), at);
        scratch.writeUInt32LE(steps[i + 1] ?? 0, at + 4);
      }
      return scratch.subarray(0, length);
    }
    case 'calendar':
      return put(idleAtMs, CALENDAR, state.held, state.period, state.spent);
    case 'bucket':
      return put(idleAtMs, BUCKET, state.held, state.level, state.updatedAtMs);
    case 'concurrency':
      return put(idleAtMs, CONCURRENCY, state.held);
  }
}

let scratch = Buffer.alloc(1_024);

function put(...doubles: readonly number[]): Uint8Array {
  for (let i = 0; i < doubles.length; i += 1) scratch.writeDoubleLE(doubles[i] ?? 0, 8 * i);
  return scratch.subarray(0, 8 * doubles.length);
}

/** From when on a counter says nothing. */
export function idleAtMsOf(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getFloat64(0, true);
}

/** The state of a counter whose bytes lie from `begin` up to `end`. */
export function decodeCounter(bytes: Buffer, begin: number, end: number): LimitState {
  const kind = bytes.readDoubleLE(begin + 8);
  const held = bytes.readDoubleLE(begin + 16);
  if (kind === CONCURRENCY) return { kind: 'concurrency', held };
  const first = bytes.readDoubleLE(begin + 24);
  switch (kind) {
    case WINDOW:
      return windowOf(bytes, begin + WINDOW_HEADER_BYTES, end, held, first);
    case WINDOW_OF_VERSION_2:
      return oldWindowOf(bytes, begin + 40, end, held, first);
    case CALENDAR:
      return { kind: 'calendar', held, period: first, spent: bytes.readDoubleLE(begin + 32) };
    case BUCKET:
      return { kind: 'bucket', held, level: first, updatedAtMs: bytes.readDoubleLE(begin + 32) };
    default:
      throw new Error(`a limit's state of unknown kind ${kind}`);
  }
}

function windowOf(bytes: Buffer, begin: number, end: number, held: number, newestStep: number): LimitState {
  const steps: number[] = [];
  let spent = 0;
  for (let at = begin; at < end; at += 8) {
    const count = bytes.readUInt32LE(at + 4);
    steps.push(newestStep - bytes.readUInt32LE(at), count);
    spent += count;
  }
  return { kind: 'window', held, newestStep, spent, steps };
}

function oldWindowOf(bytes: Buffer, begin: number, end: number, held: number, newestStep: number): LimitState {
  const steps: number[] = [];
  let spent = 0;
  for (let at = end - 4; at >= begin; at -= 4) {
    const count = bytes.readUInt32LE(at);
    if (count > 0) steps.push(newestStep - (at - begin) / 4, count);
    spent += count;
  }
  return { kind: 'window', held, newestStep, spent, steps };
}

const WINDOW_OF_VERSION_2 = 1;
const CALENDAR = 2;
const BUCKET = 3;
const CONCURRENCY = 4;
const WINDOW = 5;
const WINDOW_HEADER_BYTES = 32;
