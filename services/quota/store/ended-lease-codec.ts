import { ended } from '../lease.ts';
import type { KeptLease } from './kept-lease.ts';

/**
 * A lease that was settled or released, as bytes: what a repeated call is answered from. Its state, 's' or 'r', when it ended, the
 * prompt (-1: not told), the completion, and the operation that made it.
 */
export function encodeEnded(lease: KeptLease): Uint8Array {
  const bytes = Buffer.allocUnsafe(HEADER_BYTES + Buffer.byteLength(lease.operationId));
  bytes.writeUInt8(lease.state === 'settled' ? SETTLED : RELEASED, 0);
  bytes.writeDoubleLE(lease.endedAtMs, 1);
  bytes.writeDoubleLE(lease.promptTokens ?? -1, 9);
  bytes.writeDoubleLE(lease.completionTokens, 17);
  bytes.write(lease.operationId, HEADER_BYTES);
  return bytes;
}

/** The reverse of encodeEnded; what no answer needs any more is empty. */
export function decodeEnded(reservationId: string, stored: Uint8Array): KeptLease {
  const bytes = Buffer.from(stored.buffer, stored.byteOffset, stored.byteLength);
  const [endedAtMs, promptTokens, completionTokens] = [1, 9, 17].map((at) => bytes.readDoubleLE(at)) as Numbers;
  const figures = {
    ...{ state: 'held' as const, isCounted: true, promptBound: 0, coveredTokens: completionTokens },
    ...{ promptTokens: promptTokens < 0 ? undefined : promptTokens, completionTokens },
    maxCompletionTokens: completionTokens,
  };
  return {
    ...{ reservationId, operationId: bytes.toString('utf8', HEADER_BYTES), model: '', limits: [] },
    holder: { keyId: '', userId: '', organizationId: '' },
    ...ended(figures, bytes.readUInt8(0) === SETTLED ? 'settled' : 'released'),
    ...{ takenAtMs: endedAtMs, expiresAtMs: endedAtMs, endedAtMs },
  };
}

type Numbers = [number, number, number];

const SETTLED = 1;
const RELEASED = 2;
const HEADER_BYTES = 25;
