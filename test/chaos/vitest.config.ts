import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    // What the checker must find comes with it, so that a run without violations says something.
    include: ['test/chaos/**/*.chaos.ts', 'test/chaos/known-bugs.test.ts'],
    setupFiles: ['test/harness/secrets-in-logs.setup.ts'],
    // One mesh at a time: each has the machine to itself.
    maxWorkers: 1,
    fileParallelism: false,
    testTimeout: 3_600_000,
    hookTimeout: 600_000,
  },
});
