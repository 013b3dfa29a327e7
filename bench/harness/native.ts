import { execFileSync } from 'node:child_process';
import { mkdirSync, renameSync, statSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { isInstalled } from './programs.ts';

const benchDirectory = join(import.meta.dirname, '..');
const buildDirectory = join(benchDirectory, 'build');
const headers = ['clock.h', 'engine-messages.h', 'load-run.h', 'response-parser.h', 'transit-times.h'];

/** The compiled programs of the benchmark. */
export interface NativePrograms {
  readonly engine: string;
  readonly load: string;
  /** The load client of gRPC. */
  readonly grpcLoad: string;
}

/** What the machine lacks for the benchmark, each with what to do about it; empty when nothing. */
export function missingRequirements(needs: { nginx?: boolean }): string[] {
  const missing: string[] = [];
  if (process.platform !== 'linux') return ['Linux (CPU is bound with taskset and read from /proc)'];
  if (availableParallelism() < 2) missing.push('two CPUs (engine and load client on one, gateways on the other)');
  if (!isInstalled('taskset')) missing.push('taskset: apt-get install util-linux');
  if (!isInstalled('g++')) missing.push('g++: apt-get install g++');
  if (needs.nginx && !isInstalled('nginx')) missing.push('nginx: apt-get install nginx');
  return missing;
}

/** Compiles engine.cc, load.cc and grpc-load.cc into bench/build/ where they are older than their sources. */
export function compileNative(): NativePrograms {
  mkdirSync(buildDirectory, { recursive: true });
  return { engine: compile('engine'), load: compile('load'), grpcLoad: compile('grpc-load') };
}

function compile(name: string): string {
  const source = join(benchDirectory, `${name}.cc`);
  const program = join(buildDirectory, name);
  const changedAtMs = Math.max(...[source, ...headers.map((file) => join(benchDirectory, file))].map(modifiedAtMs));
  if (modifiedAtMs(program) < changedAtMs) {
    // Renamed into place: test files that run side by side may compile at the same time.
    const unfinished = `${program}.${process.pid}`;
    execFileSync('g++', ['-O2', '-std=c++17', '-Wall', '-Wextra', '-Werror', '-o', unfinished, source], {
      stdio: 'inherit',
    });
    renameSync(unfinished, program);
  }
  return program;
}

function modifiedAtMs(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}
