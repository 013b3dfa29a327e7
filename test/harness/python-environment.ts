import { execFile, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { promisify } from 'node:util';
import { eventually } from './processes.ts';

const CACHE = resolve(import.meta.dirname, '../../.venv');

/** A virtual environment for tests. */
interface PythonEnvironment {
  /** Of its folder. */
  readonly name: string;
  /** The file with its packages, all of them. */
  readonly requirements: string;
}

const TESTS: PythonEnvironment = { name: 'tests', requirements: join(import.meta.dirname, 'python/requirements.txt') };

/** For an install over a slow network. */
const INSTALL_TIMEOUT_MS = 170_000;
/** For a script with all of its cases, on a machine that does other work too. */
const SCRIPT_TIMEOUT_MS = 170_000;

const execute = promisify(execFile);

/**
 * Whether the machine can make a virtual environment. Says so where it cannot: tests that need one are skipped then, in CI that
 * is an error.
 */
export function hasPython(): boolean {
  if (spawnSync('python3', ['-c', 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 10))']).status === 0) {
    return true;
  }
  if (process.env.CI) throw new Error('Python 3.10 with venv is missing; CI must install python3 and python3-venv');
  console.log('skipped: the tests with Python need Python 3.10 or newer with venv (Debian: python3-venv)');
  return false;
}

/**
 * The interpreter of an environment, without one that with the packages of python/requirements.txt. The first test that asks makes
 * it, and it stays until the packages or the machine's Python change.
 */
export async function pythonEnvironment({ name, requirements }: PythonEnvironment = TESTS): Promise<string> {
  const { stdout: origin } = await execute('python3', ['-c', 'import sys; print(sys.executable, sys.version)']);
  const recipe = origin + readFileSync(requirements, 'utf8');
  const directory = join(CACHE, name);
  mkdirSync(CACHE, { recursive: true });
  const release = await onlyHere(join(CACHE, 'lock.db'));
  try {
    await install(directory, requirements, recipe);
  } finally {
    release();
  }
  return join(directory, 'bin/python');
}

async function install(directory: string, requirements: string, recipe: string): Promise<void> {
  const mark = join(directory, '.installed');
  if (existsSync(mark) && readFileSync(mark, 'utf8') === recipe) return;
  const options = { timeout: INSTALL_TIMEOUT_MS };
  await execute('python3', ['-m', 'venv', '--clear', directory], options);
  const flags = ['--quiet', '--no-deps', '--disable-pip-version-check', '--requirement', requirements];
  await execute(join(directory, 'bin/python'), ['-m', 'pip', 'install', ...flags], options);
  writeFileSync(mark, recipe);
}

/** Waits until no other process of the tests holds the lock. The system gives it back also when its holder was killed. */
async function onlyHere(path: string): Promise<() => void> {
  const lock = new DatabaseSync(path, { timeout: 0 });
  await eventually(
    'no other test installs Python packages',
    () => {
      lock.exec('BEGIN EXCLUSIVE');
      return true;
    },
    INSTALL_TIMEOUT_MS,
  );
  return () => lock.close();
}

/**
 * Runs a script in the environment.
 *
 * @param input handed to it as JSON on its standard input.
 * @returns what it prints on its standard output, which must be JSON. Rejects with what it told on the other when it fails.
 */
export async function runPython(script: string, input: unknown): Promise<unknown> {
  const python = await pythonEnvironment();
  // Without the bytecode cache: it would lie beside the sources.
  const running = execute(python, ['-B', script], { timeout: SCRIPT_TIMEOUT_MS, maxBuffer: 64 * 2 ** 20 });
  running.child.stdin?.end(JSON.stringify(input));
  const { stdout } = await running;
  return JSON.parse(stdout);
}
