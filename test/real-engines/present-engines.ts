import { spawnSync } from 'node:child_process';
import { existsSync, realpathSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { ENGINES_DIRECTORY, INSTALLED_PROGRAMS, type InstallableEngine, ROOT } from './places.ts';

/** A kind of engine that the scenarios know. */
export type RealKind = InstallableEngine | 'llama.cpp';

/** An engine and whether it can run here. */
export interface RealEngine {
  readonly kind: RealKind;
  /** Path of its program. Unset: it has none of its own. */
  readonly program?: string;
  /** As it tells it itself. */
  readonly version?: string;
  /** Why it cannot run here. Unset: it can. */
  readonly absent?: string;
}

/** What the scenarios run on: the CPU, or CUDA devices by their indices. */
export interface Target {
  readonly devices: readonly number[];
}

const VERSION_ARGUMENTS: Readonly<Record<InstallableEngine, readonly string[]>> = {
  transformers: ['version'],
  vllm: ['--version'],
  'llama-server': ['--version'],
  ollama: ['--version'],
};

/** Imports can take long on a machine that does other work. */
const ANSWER_TIMEOUT_MS = 180_000;

/** The engines for the CPU: those of the installer, else those on PATH. */
export function enginesForCpu(): RealEngine[] {
  return (Object.keys(INSTALLED_PROGRAMS) as InstallableEngine[]).map((kind) => {
    const installed = join(ENGINES_DIRECTORY, INSTALLED_PROGRAMS[kind]);
    const program = existsSync(installed) ? installed : onPath(kind);
    return program === undefined ? { kind, absent: notInstalled(kind) } : versioned(kind, program);
  });
}

/** The engines for a CUDA device: what is on PATH and sees one, and the embedded llama.cpp. */
export function enginesForCuda(): RealEngine[] {
  const python = (['transformers', 'vllm'] as const).map((kind): RealEngine => {
    const program = onPath(kind);
    if (program === undefined) return { kind, absent: `${kind} is not on PATH` };
    if (!torchSeesDevice(program)) return { kind, absent: `the torch beside ${program} sees no CUDA device` };
    return versioned(kind, program);
  });
  return [...python, embedded()];
}

/** The Python of an environment that holds a program. */
export function pythonBeside(program: string): string {
  const beside = join(dirname(program), 'python');
  return existsSync(beside) ? beside : join(dirname(realpathSync(program)), 'python3');
}

function embedded(): RealEngine {
  const kind = 'llama.cpp';
  const binaries = join(ROOT, 'node_modules/@node-llama-cpp');
  if (existsSync(join(binaries, `linux-${process.arch}-cuda`))) return { kind, version: 'of node-llama-cpp' };
  return { kind, absent: 'the CUDA binaries of node-llama-cpp are not in node_modules' };
}

function versioned(kind: InstallableEngine, program: string): RealEngine {
  const { status, stdout, stderr, error } = ask(program, VERSION_ARGUMENTS[kind]);
  if (status !== 0) return { kind, absent: `${program} does not run: ${error?.message ?? stderr.trim().slice(-500)}` };
  const told = `${stdout}\n${stderr}`;
  const version = /(?:^|version(?: is|:)? )v?(\d.*)/m.exec(told)?.[1] ?? told.trim();
  return { kind, program, version };
}

function torchSeesDevice(program: string): boolean {
  return ask(pythonBeside(program), ['-c', 'import sys, torch; sys.exit(not torch.cuda.is_available())']).status === 0;
}

function ask(program: string, args: readonly string[]) {
  return spawnSync(program, [...args], { encoding: 'utf8', timeout: ANSWER_TIMEOUT_MS });
}

function onPath(program: string): string | undefined {
  const folders = (process.env.PATH ?? '').split(delimiter).filter((folder) => folder !== '');
  return folders.map((folder) => join(folder, program)).find((path) => existsSync(path));
}

function notInstalled(kind: InstallableEngine): string {
  return `not installed; sh bin/node.sh test/real-engines/install.ts ${kind}`;
}
