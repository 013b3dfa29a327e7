import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Revocation, Revocations } from './revocations.ts';

/** Gets revocations to everybody who watches, also when they cannot be told at first. */
export interface RevocationDelivery {
  /**
   * Tells everybody. Resolves to false when not all could be told: that is tried again until it is done. Never rejects: what
   * is revoked is in the store already.
   */
  tell(revocation: Revocation): Promise<boolean>;
  /** Tries no more; says in the log what nobody was told. */
  close(): void;
}

/** What it is made of. */
export interface RevocationDeliveryParts {
  readonly revocations: Pick<Revocations, 'publish'>;
  readonly log: Logger;
}

const FIRST_RETRY_MS = 50;
const MAX_RETRY_MS = 1_000;

/**
 * How long after a success what cuts streams, or was late, is told once more, in milliseconds. Whoever watches again after a
 * break remembers no caller, but would let streams run on that were to be cut meanwhile; within this time most watch again.
 */
const REPEAT_AFTER_MS = 5_000;

/** Builds it. */
export function createRevocationDelivery({ revocations, log }: RevocationDeliveryParts): RevocationDelivery {
  const closing = new AbortController();
  /** One per key, user or signing key, so that trying again does not make them more. */
  const pending = new Map<string, Revocation>();
  let isRetrying = false;

  async function publish(revocation: Revocation): Promise<boolean> {
    return await revocations.publish(revocation).then(
      () => true,
      () => false,
    );
  }

  function postpone(revocation: Revocation): void {
    const key = `${revocation.kind} ${revocation.id}`;
    const cutRunningStreams = revocation.cutRunningStreams || (pending.get(key)?.cutRunningStreams ?? false);
    pending.set(key, { ...revocation, cutRunningStreams });
    if (!isRetrying) void retry();
  }

  async function retry(): Promise<void> {
    isRetrying = true;
    for (let waitMs = FIRST_RETRY_MS; pending.size > 0; waitMs = Math.min(MAX_RETRY_MS, 2 * waitMs)) {
      await pause(waitMs);
      if (closing.signal.aborted) return;
      for (const [key, revocation] of pending) {
        if (!(await publish(revocation))) break;
        // Said again meanwhile with more to it: that goes out as well.
        if (pending.get(key) === revocation) pending.delete(key);
        log.info({ kind: revocation.kind, id: revocation.id }, 'everybody was told of a revocation');
        void repeat(revocation);
      }
    }
    isRetrying = false;
  }

  async function repeat(revocation: Revocation): Promise<void> {
    await pause(REPEAT_AFTER_MS);
    if (!closing.signal.aborted && !(await publish(revocation))) postpone(revocation);
  }

  /** Rejects only because of closing, which whoever waits looks at. */
  async function pause(ms: number): Promise<void> {
    await delay(ms, undefined, { signal: closing.signal, ref: false }).catch(() => {});
  }

  return {
    async tell(revocation) {
      if (await publish(revocation)) {
        if (revocation.cutRunningStreams) void repeat(revocation);
        return true;
      }
      const { kind, id } = revocation;
      log.warn({ kind, id }, 'not everybody could be told of a revocation; it is tried again');
      postpone(revocation);
      return false;
    },
    close() {
      closing.abort();
      if (pending.size === 0) return;
      const revocations = [...pending.values()].map(({ kind, id }) => `${kind} ${id}`);
      log.warn({ revocations }, 'not everybody was told of these revocations; callers are remembered for 60 s at most');
    },
  };
}
