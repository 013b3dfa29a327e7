import { MeshError } from '../errors/mesh-error.ts';

/** How long a caller should wait before it asks a store again that did not answer, in milliseconds. */
const RETRY_AFTER_MS = 1_000;

/**
 * The store did not answer. Whether the operation happened is unknown, so it may only be repeated under the same
 * operation id, never undone.
 */
export function storeUnavailable(store: 'sqlite' | 'redis', cause: unknown): MeshError {
  return new MeshError('STORE_UNAVAILABLE', 'The store does not answer. Try again shortly.', {
    metadata: { store },
    retryAfterMs: RETRY_AFTER_MS,
    cause,
  });
}
