/**
 * Does something again and again, one time after the other. Returns what stops it; that waits for what is under way.
 *
 * @param work told whether it was stopped, if it takes long
 * @param everyMs from one beginning to the next, in milliseconds; longer where the work takes longer
 * @param onFailure is told why it failed; the next time does the work of this one too
 */
export function regularly(
  work: (isStopped: () => boolean) => Promise<void>,
  everyMs: number,
  onFailure: (error: unknown) => void,
): () => Promise<void> {
  let running: Promise<void> | undefined;
  let isStopped = false;
  const timer = setInterval(() => {
    running ??= work(() => isStopped)
      .catch(onFailure)
      .finally(() => {
        running = undefined;
      });
  }, everyMs);
  timer.unref();
  return async () => {
    isStopped = true;
    clearInterval(timer);
    await running;
  };
}
