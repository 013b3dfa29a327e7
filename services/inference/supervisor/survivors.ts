import type { ProcessIdentity } from './process-table.ts';

/** Processes of an engine that SIGKILL did not end in time, e.g. because they hang in a driver. */
export class SurvivorsLeftError extends Error {
  readonly processIds: readonly number[];

  constructor(processIds: readonly number[], limitMs: number) {
    super(
      `processes ${processIds.join(', ')} of the engine are still there ${limitMs} ms after SIGKILL; ` +
        'they hang in the kernel, most often in the GPU driver. Their memory is not free; a restart of the machine frees it.',
    );
    this.name = 'SurvivorsLeftError';
    this.processIds = processIds;
  }
}

/**
 * Kills (SIGKILL) whatever is left of one start of an engine until nothing is: what carries the mark and, with `leader`,
 * what is in the session that the engine's own process began.
 *
 * @param mark as `MESH_ENGINE_MARK` had it, at least 32 hex digits
 * @param limitMs how long it may take, in milliseconds
 * @param leader the engine's own process; it may be gone
 * @returns the ids of the processes that were still there, ascending; empty without /proc
 * @throws SurvivorsLeftError when some are there at the limit; RangeError on a mark that is none
 */
export declare function killSurvivors(mark: string, limitMs: number, leader?: ProcessIdentity): Promise<number[]>;
