import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    projects: [
      {
        extends: true,
        // What one service does, beside its code. Files share a worker: to start one and to load the code for each costs more CPU
        // time than most of them run. So a file leaves nothing behind: it ends what it starts and puts back what it changes.
        test: {
          name: 'units',
          isolate: false,
          include: ['services/**/*.test.ts', 'models/**/*.test.ts', 'bench/**/*.test.ts', 'bin/**/*.test.ts'],
        },
      },
      {
        extends: true,
        test: {
          name: 'mesh',
          include: ['test/**/*.test.ts'],
          // Whatever a file tests: what its meshes write holds no secret.
          setupFiles: ['test/harness/secrets-in-logs.setup.ts'],
        },
      },
    ],
    // Tests start real processes: on 2 cores that do other work too, six cold ones need a minute. A condition that does not come
    // is told by its own time limit, which is shorter.
    testTimeout: 180_000,
    hookTimeout: 180_000,
    // The same holds for what a test waits for; one second, which is the default, is short for a busy machine.
    expect: { poll: { timeout: 60_000 } },
    // One more than cores: many tests wait for processes.
    maxWorkers: 3,
  },
});
