import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/metrics/**/*.test.ts', 'test/metrics/**/*.metrics.ts'],
    // One mesh at a time.
    maxWorkers: 1,
    fileParallelism: false,
    testTimeout: 180_000,
    hookTimeout: 240_000,
    expect: { poll: { timeout: 60_000 } },
  },
});
