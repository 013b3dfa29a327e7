// Starts a fake engine as the supervisor does, through its adapter and the guarded spawn, without the supervisor.
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { type IncomingMessage, request } from 'node:http';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { json } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { GenerateRequestSchema } from '../../gen/mesh/generation/v1/generate_request_pb.ts';
import type {
  EngineAdapter,
  EngineConnection,
  EngineLaunch,
  EngineProgress,
  EngineSetting,
  FailureSignature,
} from '../../services/inference/engines/engine.ts';
import { createLineReader } from '../../services/inference/supervisor/line-reader.ts';
import { createPortPool } from '../../services/inference/supervisor/port-pool.ts';
import { type GuardedProcess, spawnGuarded } from '../../services/inference/supervisor/spawn.ts';
import { killSurvivors } from '../../services/inference/supervisor/survivors.ts';
import type { FakeState } from './kit/engine-state.ts';
import { lastStart, type StartRecord } from './kit/record.ts';
import { RecordingSink, recordingCall } from './recording-sink.ts';

const BIN = join(import.meta.dirname, 'bin');

/** Generous: the machine may do other work. */
const PATIENCE_MS = 60_000;

const SURVIVOR_LIMIT_MS = 10_000;

/** In characters. */
const LINE_LIMIT = 64 * 1024;

/** Where a fake is started; `env` of the entry should name `recordFile`. */
export interface EngineFolder {
  readonly directory: string;
  /** For the `FAKE_RECORD` of the fake. */
  readonly recordFile: string;
  remove(): void;
}

/** A folder for one test. */
export function engineFolder(): EngineFolder {
  const directory = mkdtempSync(join(tmpdir(), 'mesh-'));
  return {
    directory,
    recordFile: join(directory, 'record'),
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
}

/** The place of a node whose PATH has the fakes in front. */
export function fakeSetting(directory: string): EngineSetting {
  return {
    runDirectory: directory,
    nodePath: process.execPath,
    gpu: 'auto',
    environmentVariable: (name) =>
      name === 'PATH' ? `${BIN}${delimiter}${process.env.PATH ?? ''}` : process.env[name],
  };
}

/** A running fake behind its adapter. */
export interface StartedEngine {
  readonly connection: EngineConnection;
  readonly child: GuardedProcess;
  /** Every line so far. */
  readonly lines: readonly string[];
  /** What the adapter read out of them. */
  readonly progress: readonly EngineProgress[];
  readonly record: () => StartRecord;
  /** Asks until the engine answers its probe. Rejects when it ends before. */
  untilReady(): Promise<void>;
  /** Runs a generation to its end. */
  run(shape: MessageInitShape<typeof GenerateRequestSchema>): Promise<RecordingSink>;
  /** Ends it and whatever it left. */
  close(): Promise<void>;
}

/** Starts the adapter's process. */
export function startEngine(
  adapter: EngineAdapter,
  folder: EngineFolder,
  place: { readonly devices?: readonly number[]; readonly ports?: readonly number[] } = {},
): StartedEngine {
  const setting = fakeSetting(folder.directory);
  const connection = adapter.connect(setting, { devices: place.devices ?? [], ports: place.ports ?? [] });
  if (!connection.launch) throw new Error('this adapter starts nothing');
  return launched(connection, connection.launch, setting, folder);
}

function launched(
  connection: EngineConnection,
  launch: EngineLaunch,
  setting: EngineSetting,
  folder: EngineFolder,
): StartedEngine {
  const lines: string[] = [];
  const progress: EngineProgress[] = [];
  const reader = (fromStderr: boolean) => {
    const line = (text: string): void => {
      lines.push(text);
      const read = launch.readLine(text, fromStderr);
      if (read) progress.push(read);
    };
    return createLineReader({ line, dropped: () => {} }, LINE_LIMIT).read;
  };
  const child = spawnGuarded({
    ...launch,
    environmentVariable: setting.environmentVariable,
    onStdout: reader(false),
    onStderr: reader(true),
  });
  return {
    connection,
    child,
    lines,
    progress,
    record: () => lastStart(folder.recordFile),
    async untilReady() {
      let gone = false;
      void child.exited.then(() => {
        gone = true;
      });
      await until(async () => {
        if (gone) throw new Error(`the engine ended while it started:\n${lines.join('\n')}`);
        return connection.probe(AbortSignal.timeout(PATIENCE_MS)).then(
          () => true,
          () => false,
        );
      });
    },
    async run(shape) {
      const sink = new RecordingSink();
      connection.generate(create(GenerateRequestSchema, shape), recordingCall(), sink);
      await sink.over;
      return sink;
    },
    async close() {
      await connection.close();
      child.signal('SIGTERM');
      const patience = new AbortController();
      const late = delay(2_000, undefined, { signal: patience.signal }).catch(() => {});
      await Promise.race([child.exited, late]);
      patience.abort();
      await child.sweep();
      await killSurvivors(child.mark, SURVIVOR_LIMIT_MS);
    },
  };
}

/** Waits until a condition holds. */
export async function until(condition: () => Promise<boolean> | boolean, limitMs = PATIENCE_MS): Promise<void> {
  const end = performance.now() + limitMs;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`not within ${limitMs} ms`);
    await delay(10);
  }
}

const portPool = createPortPool();

/** Free loopback ports, as the supervisor would take them; no two calls of a test file get the same. */
export function freePorts(count: number): Promise<readonly number[]> {
  return portPool.take(count);
}

/** The fake's own count, over a loopback port or a Unix socket. */
export async function fakeState(at: number | string): Promise<FakeState> {
  const where = typeof at === 'number' ? { host: '127.0.0.1', port: at } : { socketPath: at };
  const [response] = (await once(request({ ...where, path: '/fake/state' }).end(), 'response')) as [IncomingMessage];
  return (await json(response)) as FakeState;
}

/** The signature that tells why an engine failed: the first one, in its order, that any line shows. */
export function failureIn(
  lines: readonly string[],
  failures: readonly FailureSignature[],
): FailureSignature | undefined {
  return failures.find(({ pattern }) => lines.some((line) => pattern.test(line)));
}
