/**
 * CPU time that this thread has used, in milliseconds. What other programs on the machine do does not count, so a test may hold
 * work of its own to it where a clock would tell how busy the machine is.
 */
export function threadCpuMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1_000;
}

/** CPU time that synchronous work takes, in milliseconds. */
export function cpuMsOf(work: () => void): number {
  const beforeMs = threadCpuMs();
  work();
  return threadCpuMs() - beforeMs;
}
