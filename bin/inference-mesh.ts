// The command line: `npx inference-mesh <command>`. This file alone touches the process; bin/cli/ has the commands.
import { readFileSync } from 'node:fs';

const args = process.argv.slice(2);

if (args[0] === 'start' && !args.some((arg) => arg === '--help' || arg === '-h')) {
  // The mesh in this very process, as `npm start` runs it: its flags, signals and exit codes are its own.
  process.argv.splice(2, 1);
  await import('../services/main.ts');
} else {
  await main();
}

async function main(): Promise<void> {
  const [{ runCommandLine }, { Outcome }, { EXIT }, { failureLine }] = await Promise.all([
    import('./cli/program.ts'),
    import('./cli/command.ts'),
    import('./cli/exit-code.ts'),
    import('./cli/failure-line.ts'),
  ]);
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  const { env, stdin, stdout, stderr } = process;
  const outcome = new Outcome();
  const isJson = args.includes('--json');
  for (const stream of [stdout, stderr]) {
    stream.on('error', ({ code, message }: NodeJS.ErrnoException) => {
      if (code === 'EPIPE') process.exit(EXIT.outputClosed);
      const failure = { exitCode: EXIT.failed, reason: 'FAILED', message: `the output cannot be written: ${message}` };
      if (stream === stdout) stderr.write(failureLine(failure, isJson));
      process.exit(failure.exitCode);
    });
  }
  try {
    await runCommandLine(
      args,
      {
        ...{ env, stdin, stdout, stderr, version },
        nodeVersion: process.versions.node,
        workingDirectory: process.cwd(),
        onSignal(listener) {
          for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => listener(signal));
        },
        onExit: (listener) => void process.on('exit', listener),
        exit: (code) => process.exit(code),
      },
      outcome,
    );
    await outputErrors();
    process.exit(outcome.session?.stopCode ?? outcome.exitCode);
  } catch (error) {
    const { reportFailure } = await import('./cli/report-failure.ts');
    process.exit(reportFailure(error, outcome.session, stderr, isJson));
  }
}

/** A write that failed is told of a moment after it. */
async function outputErrors(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}
