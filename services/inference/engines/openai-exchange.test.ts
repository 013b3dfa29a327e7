import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { attachOpenAi, chatRequest, type OpenAiAttachment } from '../../../test/engines/openai-attachment.ts';
import { RecordingSink, recordingCall } from '../../../test/engines/recording-sink.ts';
import { MeshError } from '../../shared/errors/mesh-error.ts';

/** Generous: the machine may do other work. */
const PATIENT = { timeout: 60_000 };

let openai: OpenAiAttachment;
beforeAll(async () => {
  openai = await attachOpenAi();
});
afterAll(() => openai.close());
beforeEach(() => openai.fake.script({}));

const gone = new MeshError('CLIENT_GONE', 'gone');

test.each([
  ['before the headers', { headersMs: 60_000 }],
  ['before the first token', { firstTokenMs: 60_000 }],
  ['in mid-stream', { everyMs: 10, tokens: 100_000 }],
] as const)('cancelling %s reaches the engine', async (_when, script) => {
  await openai.fake.script(script);
  const { aborted } = await openai.fake.counts();
  const call = recordingCall();
  const sink = new RecordingSink();
  openai.connection.generate(chatRequest(), call, sink);
  await openai.untilCounts({ running: 1 });
  if ('everyMs' in script) await expect.poll(() => sink.deltas.length, PATIENT).toBeGreaterThan(2);
  call.abort.abort(gone);
  expect(sink.outcome).toBe(gone);
  await openai.untilCounts({ running: 0, aborted: aborted + 1 });
});

test('a request that waits for a connection is cancelled without ever being sent', async () => {
  await openai.fake.script({ firstTokenMs: 60_000 });
  const { served, aborted } = await openai.fake.counts();
  const narrow = openai.connect({ max_concurrency: 1 });
  const [first, second] = [recordingCall(), recordingCall()];
  const [firstSink, secondSink] = [new RecordingSink(), new RecordingSink()];
  narrow.generate(chatRequest(), first, firstSink);
  await openai.untilCounts({ running: 1 });
  narrow.generate(chatRequest(), second, secondSink);
  second.abort.abort(gone);
  expect(secondSink.outcome).toBe(gone);
  await openai.fake.script({});
  first.abort.abort(gone);
  // The connection goes on to a third request; the second never reached the engine.
  const third = new RecordingSink();
  narrow.generate(chatRequest(), recordingCall(), third);
  expect(await third.over).toBe('end');
  await openai.untilCounts({ running: 0, aborted: aborted + 1, served: served + 1 });
  await narrow.close();
});

test('a sink that cancels at an event gets nothing after it', async () => {
  await openai.fake.script({ tokens: 20, perWrite: 20 });
  const call = recordingCall();
  const sink = new RecordingSink();
  sink.onEvent = (event) => {
    if (event.event.case === 'delta') call.abort.abort(gone);
  };
  openai.connection.generate(chatRequest(), call, sink);
  await sink.over;
  expect(sink.outcome).toBe(gone);
  expect(sink.kinds).toEqual(['started', 'delta']);
});

test('an aborted call is refused at once, a late one at its time limit', async () => {
  const call = recordingCall();
  call.abort.abort(gone);
  const sink = new RecordingSink();
  openai.connection.generate(chatRequest(), call, sink);
  expect(sink.outcome).toBe(gone);
  await openai.fake.script({ headersMs: 60_000 });
  const late = new RecordingSink();
  openai.connection.generate(chatRequest(), recordingCall(50), late);
  expect(await late.over).toMatchObject({ reason: 'DEADLINE_EXCEEDED' });
  await openai.untilCounts({ running: 0 });
});

test('a paused reader stops the engine and loses nothing', async () => {
  await openai.fake.script({ tokens: 20_000, perWrite: 100, texts: ['x'.repeat(1_000)] });
  const call = recordingCall();
  const sink = new RecordingSink();
  sink.onEvent = (event) => {
    if (event.event.case === 'delta') call.flow.pause();
  };
  openai.connection.generate(chatRequest(), call, sink);
  await expect.poll(() => sink.deltas.length, PATIENT).toBeGreaterThan(0);
  const seen = sink.text().length;
  // The engine cannot get rid of its 20 MB.
  await openai.untilCounts({ running: 1, blocked: 1 });
  expect(sink.text().length).toBe(seen);
  sink.onEvent = undefined;
  call.flow.resume();
  expect(await sink.over).toBe('end');
  expect(sink.text()).toHaveLength(20_000_000);
});

test('connections are kept, and a late resume does not touch the next request on one', async () => {
  await openai.fake.script({ tokens: 2 });
  const narrow = openai.connect({ max_concurrency: 1 });
  const call = recordingCall();
  const sink = new RecordingSink();
  narrow.generate(chatRequest(), call, sink);
  await sink.over;
  call.flow.pause();
  await openai.fake.script({ tokens: 20_000, perWrite: 100, texts: ['x'.repeat(1_000)] });
  const next = recordingCall();
  const nextSink = new RecordingSink();
  nextSink.onEvent = () => next.flow.pause();
  narrow.generate(chatRequest(), next, nextSink);
  await expect.poll(() => next.flow.paused, PATIENT).toBe(true);
  const seen = nextSink.text().length;
  await openai.untilCounts({ blocked: 1 });
  call.flow.resume();
  // What the engine has written lies ready; another socket is read, and this one still is not.
  await openai.fake.counts();
  expect(nextSink.text().length).toBe(seen);
  nextSink.onEvent = undefined;
  next.flow.resume();
  expect(await nextSink.over).toBe('end');
  await narrow.close();
});

test('an answer that is left open after its end is closed', async () => {
  const { aborted } = await openai.fake.counts();
  const sink = await openai.run({ leaveOpen: true });
  expect(sink.outcome).toBe('end');
  await openai.untilCounts({ running: 0, aborted: aborted + 1 });
});
