import type { Logger } from 'pino';

/** What is closed at the end of a process, in reverse order of its registration. */
export interface Closer {
  /**
   * Registers a part.
   *
   * @param timeoutMs how long it may take before the next one is closed anyway; default 5 s
   */
  add(name: string, close: () => Promise<void> | void, timeoutMs?: number): void;
  /** Closes everything once, also when parts fail or hang; further calls wait for the first. Never rejects. */
  close(): Promise<void>;
}

/** Makes a closer. Failures and timeouts go to the log with the part's name. */
export function createCloser(log: Logger): Closer {
  const parts: { name: string; close: () => Promise<void> | void; timeoutMs: number }[] = [];
  let closing: Promise<void> | undefined;

  async function closeAll(): Promise<void> {
    for (let part = parts.pop(); part; part = parts.pop()) {
      const { promise: late, resolve, reject } = Promise.withResolvers<void>();
      const timer = setTimeout(() => reject(new Error(`not closed within ${part.timeoutMs} ms`)), part.timeoutMs);
      try {
        await Promise.race([part.close(), late]);
      } catch (error) {
        log.error({ err: error, part: part.name }, 'could not close a part');
      }
      clearTimeout(timer);
      resolve();
    }
  }

  return {
    add(name, close, timeoutMs = 5_000) {
      parts.push({ name, close, timeoutMs });
    },
    close() {
      closing ??= closeAll();
      return closing;
    },
  };
}
