import { type Duration, durationMs } from '@bufbuild/protobuf/wkt';
import { invalidField } from '../shared/errors/mesh-error.ts';
import { DEFAULT_HOLD_MS, MAX_HOLD_MS } from './lease.ts';

/** How long a lease is to live without a report, in milliseconds. @throws MeshError INVALID_FIELD. */
export function holdMs(holdFor: Duration | undefined): number {
  if (!holdFor) return DEFAULT_HOLD_MS;
  const ms = Math.round(durationMs(holdFor));
  if (ms < 1 || ms > MAX_HOLD_MS) throw invalidField('hold_for', 'must be more than 0 and at most 24 hours');
  return ms;
}
