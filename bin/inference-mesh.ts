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
  const [{ runCommandLine }, { Outcome }] = await Promise.all([import('./cli/program.ts'), import('./cli/command.ts')]);
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  const { env, stdin, stdout, stderr } = process;
  const outcome = new Outcome();
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
        onOutputClosed(listener) {
          for (const stream of [stdout, stderr]) {
            stream.on('error', (error: NodeJS.ErrnoException) => {
              if (error.code === 'EPIPE') listener();
              else throw error;
            });
          }
        },
        exit: (code) => process.exit(code),
      },
      outcome,
    );
    process.exit(outcome.session?.stopCode ?? outcome.exitCode);
  } catch (error) {
    const { reportFailure } = await import('./cli/report-failure.ts');
    process.exit(reportFailure(error, outcome.session, stderr, args.includes('--json')));
  }
}
