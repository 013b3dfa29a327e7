import { spawnSync } from 'node:child_process';

/** Whether a program is on the path. */
export function isInstalled(program: string): boolean {
  return spawnSync('sh', ['-c', `command -v ${program}`], { stdio: 'ignore' }).status === 0;
}

/** The first number with dots in what a program says of its version, else "unknown". */
export function versionOf(program: string, args: readonly string[]): string {
  const { stdout, stderr } = spawnSync(program, [...args], { encoding: 'utf8' });
  return /\d+(\.\d+)+/.exec(`${stdout}${stderr}`)?.[0] ?? 'unknown';
}

/** Runs a command of an install; undefined when it went well, else the end of what it said. */
export function problemOf(command: readonly string[], directory: string): string | undefined {
  const [file = '', ...args] = command;
  const { status, stdout, stderr, error } = spawnSync(file, args, { cwd: directory, encoding: 'utf8' });
  if (status === 0) return undefined;
  return `${command.join(' ')}: ${error?.message ?? `${stdout}${stderr}`.trim().slice(-300)}`;
}
