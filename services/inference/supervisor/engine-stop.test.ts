import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { expect, onTestFinished, test } from 'vitest';
import { GenerateRequestSchema } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import { EngineState } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import { type FaultScript, scripted } from '../../../test/engines/kit/fault-script.ts';
import { isRunning } from '../../../test/engines/processes.ts';
import { RecordingSink, recordingCall } from '../../../test/engines/recording-sink.ts';
import { type Supervised, supervise } from '../../../test/engines/supervise.ts';
import { CountedSink } from '../counted-sink.ts';
import { engineFor } from '../engines/catalogue.ts';
import { modelEntrySchema } from '../engines/model-entry.ts';

/** Generous: the machine may do other work. */
const TIMEOUT_MS = 180_000;
const PATIENCE = { timeout: 60_000 };

const BIN = join(import.meta.dirname, '../../../test/engines/bin');
const SLOW: FaultScript = { everyMs: 30 };

/** A supervised fake of that kind, ready, with a generation that has begun and goes on for minutes. */
async function busy(kind: 'vllm' | 'llama-server', script: FaultScript, graceMs: number) {
  const entry = modelEntrySchema.parse({
    name: 'chat',
    engine: kind,
    model: kind === 'vllm' ? 'm' : 'm.gguf',
    program: join(BIN, kind),
    devices: [],
    env: scripted(script),
  });
  const supervised = supervise(engineFor(entry), { entry, limits: { graceMs } });
  onTestFinished(() => supervised.close());
  const { engine, last } = supervised;
  engine.start();
  await expect.poll(() => engine.status.state, PATIENCE).toBe(EngineState.READY);
  const request = create(GenerateRequestSchema, {
    prompt: { input: { case: 'text', value: 'x' } },
    sampling: { maxTokens: 4_000 },
  });
  const sink = new RecordingSink();
  const call = recordingCall();
  engine.connection?.generate(request, call, new CountedSink(engine.status.load, call.flow, sink));
  await expect.poll(() => sink.deltas.length, PATIENCE).toBeGreaterThan(1);
  return { supervised, sink, processId: last().processId };
}

const lastWords = ({ engineLog }: Supervised): string | undefined => engineLog.tail(1)[0]?.text;

test.each(['vllm', 'llama-server'] as const)(
  'a stream that outlasts the drain is cut before %s is asked to end, which else waits for it',
  { timeout: TIMEOUT_MS },
  async (kind) => {
    const { supervised, sink, processId } = await busy(kind, SLOW, 20_000);
    await supervised.engine.stop(50);
    const tokens = sink.deltas.at(-1)?.completionTokens ?? 0;
    const metadata = { tokens_delivered: String(tokens) };
    expect(sink.outcome).toMatchObject({ reason: 'ENGINE_LOST', metadata });
    expect(supervised.engine.status.load.running).toBe(0);
    expect(lastWords(supervised)).toBe('[mesh] stopped');
    expect(isRunning(processId)).toBe(false);
  },
);

test('one that does not end is killed, and that is told', { timeout: TIMEOUT_MS }, async () => {
  const { supervised, processId } = await busy('vllm', { ...SLOW, ignoreTerm: true }, 500);
  await supervised.engine.stop(0);
  expect(lastWords(supervised)).toBe('[mesh] stopped: killed, for it had not ended after 0.5 s');
  expect(isRunning(processId)).toBe(false);
});
