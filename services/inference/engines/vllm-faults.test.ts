import { create } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { GenerateRequestSchema, ResumePolicy } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import type { FaultScript } from '../../../test/engines/kit/fault-script.ts';
import { until } from '../../../test/engines/launched-engine.ts';
import { RecordingSink, recordingCall } from '../../../test/engines/recording-sink.ts';
import { chat, signal, startReady, TIMEOUT_MS, text } from '../../../test/engines/vllm/start.ts';
import { MeshError } from '../../shared/errors/mesh-error.ts';

test('another model on its socket is told by its name', { timeout: TIMEOUT_MS }, async () => {
  const engine = await startReady({ wrongModel: 'some/other' });
  expect(await engine.connection.probe(signal())).toMatchObject({ modelId: 'some/other' });
});

test('a caller who leaves ends the generation in the engine', { timeout: TIMEOUT_MS }, async () => {
  const engine = await startReady({ tokens: 100_000, everyMs: 5 });
  const sink = new RecordingSink();
  const call = recordingCall();
  engine.connection.generate(create(GenerateRequestSchema, { prompt: text('x') }), call, sink);
  await until(() => sink.deltas.length > 1);
  expect(await engine.connection.probe(signal())).toMatchObject({ running: 1 });
  call.abort.abort(new MeshError('CLIENT_GONE', 'left'));
  expect(await sink.over).toMatchObject({ reason: 'CLIENT_GONE' });
  await until(async () => (await engine.connection.probe(signal())).running === 0);
  expect(await engine.state()).toMatchObject({ running: 0, aborted: 1 });
});

test('one that hangs answers its probe, with running requests and no step', { timeout: TIMEOUT_MS }, async () => {
  const engine = await startReady({ tokens: 9, hangAtToken: 2 });
  const sink = new RecordingSink();
  const call = recordingCall();
  engine.connection.generate(create(GenerateRequestSchema, { prompt: text('x') }), call, sink);
  await until(async () => (await engine.state()).hung);
  expect(await engine.connection.probe(signal())).toMatchObject({ running: 1, step: 2 });
  expect(await engine.connection.probe(signal())).toMatchObject({ running: 1, step: 2 });
  expect(sink.text()).toBe(' t0 t1');
  call.abort.abort(new MeshError('CLIENT_GONE', 'left'));
  await sink.over;
});

test.each([
  ['an error chunk under status 200', { errorAtToken: 2 }, 'ENGINE_FAILED'],
  ['a cut stream', { cutAtToken: 2 }, 'ENGINE_LOST'],
  ['half a chunk', { halfChunkAtToken: 2 }, 'ENGINE_LOST'],
  ['an end with code 0', { exitAtToken: { token: 2, code: 0 } }, 'ENGINE_LOST'],
] as [string, FaultScript, string][])('%s', { timeout: TIMEOUT_MS }, async (_name, script, reason) => {
  const engine = await startReady({ tokens: 5, ...script });
  const sink = await engine.run({ prompt: text('x') });
  expect(sink.outcome).toMatchObject({ reason });
  expect(sink.text()).toBe(' t0 t1');
  const metadata = (sink.outcome as MeshError).metadata;
  if (reason === 'ENGINE_LOST') expect(metadata.tokens_delivered).toBe('2');
});

test('an engine that dies before the first token has failed too', { timeout: TIMEOUT_MS }, async () => {
  const engine = await startReady({ tokens: 5, errorAtToken: 0 });
  const sink = await engine.run({ prompt: text('x') });
  expect(sink.outcome).toMatchObject({ reason: 'ENGINE_FAILED' });
});

test('several tokens in a chunk are counted, of several choices too', { timeout: TIMEOUT_MS }, async () => {
  const engine = await startReady({ tokens: 20, tokensPerChunk: 3, cutAtToken: 10 });
  for (const choices of [1, 2]) {
    const { outcome } = await engine.run({ prompt: text('x'), sampling: { choices } });
    expect(outcome).toMatchObject({ reason: 'ENGINE_LOST', metadata: { tokens_delivered: String(9 * choices) } });
  }
});

test('a character over two tokens and packets arrives whole, with both ids', { timeout: TIMEOUT_MS }, async () => {
  const engine = await startReady({ tokens: 6, splitUtf8: true });
  const sink = await engine.run({ prompt: chat(), sampling: { returnTokenIds: true } });
  expect(sink.text()).toBe('🙂🙂🙂');
  expect(sink.deltas.every((delta) => !delta.text.includes('\ufffd'))).toBe(true);
  expect(sink.deltas.flatMap(({ tokenIds }) => tokenIds)).toEqual([1_000, 1_001, 1_002, 1_003, 1_004, 1_005]);
  expect(sink.usage?.completionTokens).toBe(6);
});

test('bytes that are no UTF-8 become replacement characters, and the rest arrives', {
  timeout: TIMEOUT_MS,
}, async () => {
  const engine = await startReady({ tokens: 3, invalidUtf8: true });
  const sink = await engine.run({ prompt: chat() });
  expect(sink.outcome).toBe('end');
  expect(sink.text()).toBe('\ufffd after t1 t2');
});

const WORDS = ['I', ' am', ' 🙂', '', ' here', ' and', ' there', ' too'];

test.each([2, 3, 5, 6, 7])(
  'with stop texts a stream that breaks after token %i has told the text of as many tokens as it counted',
  { timeout: TIMEOUT_MS },
  async (token) => {
    const engine = await startReady({ tokens: 8, texts: WORDS, everyMs: 5, cutAtToken: token });
    for (const prompt of [text('x'), chat()]) {
      const sampling = { stop: ['\n', 'STOP'] };
      const sink = await engine.run({ prompt, sampling, resume: ResumePolicy.ALLOWED });
      expect(sink.outcome).toMatchObject({ reason: 'ENGINE_LOST' });
      const counted = sink.deltas.at(-1)?.completionTokens ?? 0;
      expect(sink.text()).toBe(WORDS.slice(0, counted).join(''));
      // Three characters are held back, and what is no whole token.
      expect(counted).toBeGreaterThanOrEqual(Math.max(0, token - 4));
    }
  },
);

test('with stop texts nothing is missing at the end, whoever else could go on', { timeout: TIMEOUT_MS }, async () => {
  const engine = await startReady({ tokens: 8, texts: WORDS });
  for (const resume of [ResumePolicy.ALLOWED, ResumePolicy.NEVER]) {
    const sink = await engine.run({ prompt: text('x'), sampling: { stop: ['STOP'] }, resume });
    expect([sink.outcome, sink.text()]).toEqual(['end', WORDS.join('')]);
    expect(sink.usage).toMatchObject({ completionTokens: 8 });
  }
});
