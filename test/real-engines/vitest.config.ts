import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/real-engines/**/*.real.ts'],
    // One engine at a time: they take all cores while they load.
    maxWorkers: 1,
    fileParallelism: false,
    // vLLM takes minutes to start on two cores.
    testTimeout: 600_000,
    hookTimeout: 600_000,
  },
});
