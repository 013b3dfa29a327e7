import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/rolling/**/*.rolling.ts'],
    // One mesh at a time: it has the machine to itself.
    maxWorkers: 1,
    fileParallelism: false,
    testTimeout: 1_200_000,
    hookTimeout: 300_000,
  },
});
