import { availableParallelism, loadavg } from 'node:os';

/**
 * A time that the product promises, as a test may hold it to on a machine that does other work: three times as long, and longer
 * with everything else that wants a core. In milliseconds.
 */
export function stretched(promisedMs: number): number {
  const [load = 0] = loadavg();
  return promisedMs * (3 + load / availableParallelism());
}
