import { MeshError } from '../../errors/mesh-error.ts';

/** What a timer of the platform takes, in milliseconds; a longer one would fire at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/**
 * Calls `expire` when the time of a generation is over, unless the returned function was called before.
 *
 * @param timeoutMs time left, in milliseconds; undefined: without end
 */
export function armDeadline(timeoutMs: number | undefined, expire: (error: MeshError) => void): () => void {
  if (timeoutMs === undefined) return () => {};
  const timer = setTimeout(
    () => expire(new MeshError('DEADLINE_EXCEEDED', "The call's deadline passed.", { metadata: { limit: 'total' } })),
    Math.min(timeoutMs, LONGEST_TIMER_MS),
  );
  return () => clearTimeout(timer);
}
