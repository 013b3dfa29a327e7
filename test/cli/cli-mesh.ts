// A mesh to run commands against: an engine that answers by a script, and one that takes its time to load.
import { type SpawnSyncReturns, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join, resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import { type FakeEngine, startFakeEngine } from '../engines/fake-engine.ts';
import { createFakeMachine, type FakeMachine, gpusOf } from '../engines/fake-nvidia-smi.ts';
import { scripted } from '../engines/kit/fault-script.ts';
import { startMesh, type TestMesh } from '../harness/mesh.ts';
import { openTerminal, type TerminalProgram, type WindowSize } from '../harness/terminal.ts';

/** The program under test. */
export const PROGRAM = resolve(import.meta.dirname, '../../bin/inference-mesh');

const FAKES = resolve(import.meta.dirname, '../engines/bin');

/** How long the load of `big` takes, in milliseconds. */
const LOAD_MS = 2_500;

/** What a command did. */
export interface CommandResult {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** A mesh, and commands that call it. */
export interface CliMesh {
  readonly mesh: TestMesh;
  /** Answers what is asked of the model `chat`, the default one. */
  readonly fake: FakeEngine;
  /** The environment in which commands find it: its address, and a data directory with the admin key. */
  readonly env: Record<string, string>;
  /** A directory of no mesh, where commands are run. */
  readonly directory: string;
  /** Runs a command with its outputs in pipes. */
  run(
    args: readonly string[],
    options?: { readonly input?: string; readonly env?: Record<string, string> },
  ): Promise<CommandResult>;
  /** Runs a command in a window. */
  open(args: readonly string[], size?: WindowSize, env?: Record<string, string>): TerminalProgram;
  stop(): Promise<void>;
}

/** Starts it: the models `chat`, always ready, and `big`, on the one CUDA device, loaded when it is asked for. */
export async function startCliMesh(): Promise<CliMesh> {
  const fake = await startFakeEngine();
  const machine = createFakeMachine({ gpus: gpusOf('NVIDIA H100 80GB HBM3', 81_559, 1) });
  const directory = mkdtempSync(join(tmpdir(), 'mesh-cli-'));
  const mesh = await startMesh('one process', {
    config: { inference: { models: modelsOf(fake, machine) }, router: { default_model: 'chat' } },
    args: ['--model', 'none'],
    env: {
      PATH: [join(machine.directory, 'bin'), FAKES, process.env.PATH].join(delimiter),
      MESH_DEVICE_CLAIMS_DIR: machine.claimsDirectory,
    },
  });
  const env = { MESH_URL: mesh.url, MESH_DATA_DIR: mesh.dataDir('all'), HOME: directory };
  const terminals: TerminalProgram[] = [];
  return {
    ...{ mesh, fake, env, directory },
    run: (args, options = {}) => runProgram(args, directory, { ...env, ...options.env }, options.input),
    open(args, size, more = {}) {
      const terminal = openTerminal(PROGRAM, args, { cwd: directory, env: { ...env, ...more }, ...(size && { size }) });
      terminals.push(terminal);
      return terminal;
    },
    async stop() {
      for (const terminal of terminals) terminal.close();
      await mesh.stop();
      await fake.stop();
      machine.remove();
      rmSync(directory, { recursive: true });
    },
  };
}

function modelsOf(fake: FakeEngine, machine: FakeMachine): object[] {
  return [
    { name: 'chat', engine: 'openai', base_url: fake.baseUrl, model: 'fake-chat' },
    {
      name: 'big',
      engine: 'vllm',
      model: 'Qwen/Qwen2.5-7B-Instruct',
      devices: [0],
      load: 'on_demand',
      env: { FAKE_MACHINE: machine.directory, ...scripted({ startMs: LOAD_MS }) },
    },
  ];
}

/** Runs the program with its outputs in pipes. */
export async function runProgram(
  args: readonly string[],
  cwd: string,
  env: Record<string, string>,
  input = '',
): Promise<CommandResult> {
  const { PATH = '', HOME = '', NODE_COMPILE_CACHE } = process.env;
  const cache = NODE_COMPILE_CACHE === undefined ? {} : { NODE_COMPILE_CACHE };
  const child = spawn(PROGRAM, [...args], { cwd, env: { PATH, HOME, ...cache, ...env } });
  // A command that does not read its input may be gone before it is written.
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')]);
  return { code: code as SpawnSyncReturns<string>['status'], out, err };
}
