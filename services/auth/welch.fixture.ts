/** How many measurements of a set are kept, the fastest: what lies above is the machine's other work. */
const KEPT = 0.9;

/**
 * Welch's t of two sets of measurements, without its sign: how far apart their means are, in standard errors. Below 4.5 nothing
 * tells them apart.
 */
export function welchT(a: readonly number[], b: readonly number[]): number {
  const sorted = [...a, ...b].sort((x, y) => x - y);
  const limit = sorted[Math.floor(sorted.length * KEPT)] ?? Number.POSITIVE_INFINITY;
  const [first, second] = [a, b].map((samples) => momentsOf(samples.filter((sample) => sample <= limit)));
  if (!first || !second) throw new Error('two sets');
  return Math.abs(first.mean - second.mean) / Math.sqrt(first.errorSquared + second.errorSquared);
}

/** The one in the middle. */
export function middle(values: readonly number[]): number {
  return [...values].sort((x, y) => x - y)[Math.floor(values.length / 2)] ?? Number.NaN;
}

function momentsOf(samples: readonly number[]): { mean: number; errorSquared: number } {
  const mean = samples.reduce((sum, sample) => sum + sample, 0) / samples.length;
  const variance = samples.reduce((sum, sample) => sum + (sample - mean) ** 2, 0) / (samples.length - 1);
  return { mean, errorSquared: variance / samples.length };
}
