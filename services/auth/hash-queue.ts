import { MeshError } from '../shared/errors/mesh-error.ts';

/** How much work a queue takes. */
export interface HashQueueLimits {
  /** At a time. */
  readonly running: number;
  /** Behind those; what comes on top is refused. */
  readonly waiting: number;
}

/** Runs expensive work, a bounded amount at a time, first come first served. */
export interface HashQueue {
  /** @throws MeshError QUEUE_FULL; whatever the work throws. */
  run<T>(work: () => Promise<T>): Promise<T>;
}

/** How long whoever is refused should wait, in milliseconds: longer than a full queue of argon2id takes. */
const RETRY_AFTER_MS = 2_000;

/** Makes a queue. */
export function createHashQueue({ running, waiting }: HashQueueLimits): HashQueue {
  const turns: (() => void)[] = [];
  let active = 0;
  return {
    async run(work) {
      if (active < running) active += 1;
      else if (turns.length >= waiting) throw queueFull();
      // Whoever ends hands its place over, so nobody who comes later gets in between.
      else await new Promise<void>((resolve) => turns.push(resolve));
      try {
        return await work();
      } finally {
        const next = turns.shift();
        if (next) next();
        else active -= 1;
      }
    },
  };
}

function queueFull(): MeshError {
  return new MeshError('QUEUE_FULL', 'Too many passwords are being checked. Try again shortly.', {
    retryAfterMs: RETRY_AFTER_MS,
  });
}
