// A fake server elsewhere, attached through the adapter for such servers, for tests.
import { create } from '@bufbuild/protobuf';
import { expect } from 'vitest';
import { type GenerateRequest, GenerateRequestSchema } from '../../gen/mesh/generation/v1/generate_request_pb.ts';
import { Role } from '../../gen/mesh/generation/v1/prompt_pb.ts';
import type { EngineConnection } from '../../services/inference/engines/engine.ts';
import { modelEntrySchema } from '../../services/inference/engines/model-entry.ts';
import { openAiEngine } from '../../services/inference/engines/openai.ts';
import type { OpenAiEntry } from '../../services/inference/engines/openai-entry.ts';
import { MeshError } from '../../services/shared/errors/mesh-error.ts';
import { type FakeEngine, startFakeEngine } from './fake-engine.ts';
import type { FakeScript } from './fake-openai.ts';
import { RecordingSink, recordingCall } from './recording-sink.ts';

/** Generous: the machine may do other work. */
const PATIENCE_MS = 20_000;

const setting = { runDirectory: '/nowhere', nodePath: process.execPath, gpu: 'none' as const };

/** A running fake and a connection to it. */
export interface OpenAiAttachment {
  readonly fake: FakeEngine;
  readonly connection: EngineConnection;
  /** Another connection, of an entry with these fields too; the caller's to close. */
  connect(fields?: object): EngineConnection;
  /** Runs a generation to its end. */
  run(script: FakeScript, request?: GenerateRequest): Promise<RecordingSink>;
  /** What a generation fails with. */
  failure(script: FakeScript, request?: GenerateRequest): Promise<MeshError>;
  /** Waits until the fake counts so. */
  untilCounts(expected: object): Promise<void>;
  close(): Promise<void>;
}

/** Starts a fake and attaches to it. */
export async function attachOpenAi(): Promise<OpenAiAttachment> {
  const fake = await startFakeEngine();
  const connection = connectTo(fake.baseUrl);
  async function run(script: FakeScript, request = chatRequest()): Promise<RecordingSink> {
    await fake.script(script);
    const sink = new RecordingSink();
    connection.generate(request, recordingCall(), sink);
    await sink.over;
    return sink;
  }
  return {
    fake,
    connection,
    connect: (fields) => connectTo(fake.baseUrl, fields),
    run,
    async failure(script, request) {
      const { outcome } = await run(script, request);
      if (!(outcome instanceof MeshError)) throw new Error('it did not fail');
      return outcome;
    },
    async untilCounts(expected) {
      await expect.poll(() => fake.counts(), { timeout: PATIENCE_MS, interval: 5 }).toMatchObject(expected);
    },
    async close() {
      await connection.close();
      await fake.stop();
    },
  };
}

/** A connection to a server of that address; the caller's to close. */
export function connectTo(baseUrl: string, fields: object = {}): EngineConnection {
  const entry = modelEntrySchema.parse({ name: 'chat', engine: 'openai', model: 'm', base_url: baseUrl, ...fields });
  return openAiEngine(entry as OpenAiEntry).connect(
    { ...setting, environmentVariable: () => 'key-of-upstream' },
    { devices: [], ports: [] },
  );
}

/** A request with one message. */
export function chatRequest(sampling: object = {}, rest: object = {}): GenerateRequest {
  const parts = [{ part: { case: 'text' as const, value: 'hi' } }];
  return create(GenerateRequestSchema, {
    model: 'alias',
    prompt: { input: { case: 'chat', value: { messages: [{ role: Role.USER, parts }] } } },
    sampling,
    ...rest,
  });
}
