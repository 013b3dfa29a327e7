import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: [
      'services/**/*.test.ts',
      'test/**/*.test.ts',
      'models/**/*.test.ts',
      'bench/**/*.test.ts',
      'bin/**/*.test.ts',
    ],
    // Tests start real processes: on 2 cores that do other work too, six cold ones need a minute. A condition that does not come
    // is told by its own time limit, which is shorter.
    testTimeout: 180_000,
    hookTimeout: 180_000,
    // One more than cores: many tests wait for processes.
    maxWorkers: 3,
  },
});
