import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/traces/**/*.traces.ts'],
    maxWorkers: 1,
    fileParallelism: false,
    testTimeout: 180_000,
    hookTimeout: 180_000,
  },
});
