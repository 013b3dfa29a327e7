// `npm test [vitest arguments]`: the checks, then unit and end-to-end tests in both arrangements.
import { spawnSync } from 'node:child_process';
import { join, resolve } from 'node:path';

const root = resolve(import.meta.dirname, '..');

function isInstalled(program: string): boolean {
  return spawnSync('sh', ['-c', `command -v ${program}`]).status === 0;
}

/** A program that some tests need. Without it they say so and are skipped; in CI they fail. */
interface NeededProgram {
  readonly program: string;
  /** Its package for Homebrew; unset: there is none that ends up on the path. */
  readonly brewPackage?: string;
  readonly tests: string;
}

/** They have the names of their Debian packages. */
const NEEDED: readonly NeededProgram[] = [
  { program: 'redis-server', brewPackage: 'redis', tests: 'the tests of the shared store' },
  { program: 'chromium', tests: 'the tests in a browser' },
  { program: 'nginx', brewPackage: 'nginx', tests: 'the tests behind a proxy' },
];

function provide({ program, brewPackage, tests }: NeededProgram): void {
  if (isInstalled(program)) return;
  const isRoot = process.getuid?.() === 0;
  if (isRoot && isInstalled('apt-get')) {
    console.log(`npm test: installing ${program}`);
    spawnSync('sh', ['-c', `apt-get update -q && apt-get install -yq --no-install-recommends ${program}`], {
      stdio: 'inherit',
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    });
  } else if (!isRoot && brewPackage !== undefined && isInstalled('brew')) {
    spawnSync('brew', ['install', brewPackage], { stdio: 'inherit' });
  }
  if (!isInstalled(program)) console.log(`npm test: no ${program}; install it to run ${tests}`);
}

function run(script: string, args: string[]): void {
  const { status } = spawnSync(process.execPath, [join(root, script), ...args], { cwd: root, stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}

for (const needed of NEEDED) provide(needed);
const selection = process.argv.slice(2);
if (selection.length === 0) run('bin/check.ts', []);
run('node_modules/vitest/vitest.mjs', ['run', ...selection]);
