// `npm test [vitest arguments]`: the checks, then unit and end-to-end tests in both arrangements.
import { spawnSync } from 'node:child_process';
import { join, resolve } from 'node:path';

const root = resolve(import.meta.dirname, '..');

function isInstalled(program: string): boolean {
  return spawnSync('sh', ['-c', `command -v ${program}`]).status === 0;
}

/** Tests of the shared store need a real Redis server. Without one they say so and are skipped; in CI they fail. */
function provideRedis(): void {
  if (isInstalled('redis-server')) return;
  const isRoot = process.getuid?.() === 0;
  if (isRoot && isInstalled('apt-get')) {
    console.log('npm test: installing redis-server');
    spawnSync('sh', ['-c', 'apt-get update -q && apt-get install -yq --no-install-recommends redis-server'], {
      stdio: 'inherit',
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    });
  } else if (!isRoot && isInstalled('brew')) {
    spawnSync('brew', ['install', 'redis'], { stdio: 'inherit' });
  }
  if (!isInstalled('redis-server'))
    console.log('npm test: no redis-server; install it to run the tests of the shared store');
}

function run(script: string, args: string[]): void {
  const { status } = spawnSync(process.execPath, [join(root, script), ...args], { cwd: root, stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}

provideRedis();
const selection = process.argv.slice(2);
if (selection.length === 0) run('bin/check.ts', []);
run('node_modules/vitest/vitest.mjs', ['run', ...selection]);
