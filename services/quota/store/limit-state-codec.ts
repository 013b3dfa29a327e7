import { type LimitState, STEPS } from '../budget.ts';

/** A state as bytes: a bucket is two doubles, a window one double and the counts. Little-endian, as Node's platforms are. */
export function encodeState(state: LimitState): Uint8Array {
  if (state.kind === 'bucket') {
    return new Uint8Array(Float64Array.of(state.level, state.updatedAtMs).buffer);
  }
  const bytes = new Uint8Array(8 + 4 * STEPS);
  new Float64Array(bytes.buffer, 0, 1)[0] = state.newestStep;
  new Uint32Array(bytes.buffer, 8).set(state.counts);
  return bytes;
}

/** The reverse of encodeState. */
export function decodeState(bytes: Uint8Array): LimitState {
  // Numbers must lie at multiples of their size; what the driver hands out may not.
  const { buffer } = bytes.byteOffset === 0 ? bytes : bytes.slice();
  if (bytes.byteLength === 16) {
    const [level = 0, updatedAtMs = 0] = new Float64Array(buffer, 0, 2);
    return { kind: 'bucket', level, updatedAtMs };
  }
  const newestStep = new Float64Array(buffer, 0, 1)[0] ?? 0;
  return { kind: 'window', newestStep, counts: new Uint32Array(buffer, 8, STEPS) };
}
