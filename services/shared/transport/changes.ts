/** Lets code wait for a condition that something else brings about. */
export interface Changes {
  /** Says that something has changed; those who wait look again. */
  notify(): void;
  /** Resolves to true once the condition holds, to false after the time. Without one it waits as long as it takes. */
  until(holds: () => boolean, timeoutMs?: number): Promise<boolean>;
}

/** Makes a notifier. */
export function createChanges(): Changes {
  const waiting = new Set<() => void>();
  return {
    notify() {
      for (const look of waiting) look();
    },
    until(holds, timeoutMs) {
      return new Promise((resolve) => {
        const settle = (held: boolean) => {
          clearTimeout(late);
          waiting.delete(look);
          resolve(held);
        };
        const look = () => {
          if (holds()) settle(true);
        };
        const late = timeoutMs === undefined ? undefined : setTimeout(() => settle(false), timeoutMs);
        waiting.add(look);
        look();
      });
    },
  };
}
