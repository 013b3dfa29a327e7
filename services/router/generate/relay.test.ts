import { expect, test, vi } from 'vitest';
import { ResumePolicy } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import { FinishReason } from '../../../gen/mesh/generation/v1/generation_event_pb.ts';
import { EngineState } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import { MeshError } from '../../shared/errors/mesh-error.ts';
import { type LedEngine, PROMPT_TOKENS, type Relayed, startRelay, WORDS } from './relay.fixture.ts';
import { RetryBudget } from './retry-budget.ts';

const lost = new MeshError('ENGINE_LOST', 'The engine broke off before the end.', { metadata: { engine: 'a' } });
const WHOLE = WORDS.join('');

/** The attempt at `index`, once it is there. */
async function engine({ engines }: Relayed, index: number): Promise<LedEngine> {
  await expect.poll(() => engines.length).toBeGreaterThan(index);
  return engines[index] ?? expect.fail('no such attempt');
}
const names = ({ events }: Relayed) => events.map(({ case: name }) => name).filter((name) => name !== 'delta');
const counts = ({ events }: Relayed) =>
  events.flatMap((event) => (event.case === 'delta' ? [event.value.completionTokens] : []));
const last = ({ events }: Relayed) => events.at(-1)?.value;

test('before the first token the request is tried again elsewhere, as it was', async () => {
  const relayed = startRelay();
  relayed.engines[0]?.sink.fail(lost);
  const second = await engine(relayed, 1);
  expect(second.request).toMatchObject({ engine: 'b' });
  expect(second.request.continuation).toBeUndefined();
  second.start();
  second.finish();
  expect(names(relayed)).toEqual(['started', 'finished', 'usage']);
  expect([relayed.text, relayed.outcome(), relayed.taken()]).toEqual([WHOLE, 'end', 0]);
});

test('what an engine said before it was to blame is not repeated: one start, then who goes on', async () => {
  const relayed = startRelay();
  relayed.engines[0]?.start();
  relayed.engines[0]?.sink.fail(lost);
  const second = await engine(relayed, 1);
  second.start();
  second.finish();
  expect(names(relayed)).toEqual(['started', 'resumed', 'finished', 'usage']);
  expect(relayed.events[1]?.value).toMatchObject({ attempt: 2, fromToken: 0, engine: 'b' });
  expect(last(relayed)).toMatchObject({ promptTokens: PROMPT_TOKENS, completionTokens: WORDS.length });
});

test('several choices are tried again only where all of them are made', async () => {
  const engines = [{}, { capabilities: { choices: false } }, {}];
  const relayed = startRelay({ sampling: { choices: 2 } }, { engines });
  relayed.engines[0]?.sink.fail(lost);
  expect((await engine(relayed, 1)).request).toMatchObject({ engine: 'c', sampling: { choices: 2 } });
});

test('without another engine the failure is told at once', () => {
  const relayed = startRelay({}, { engines: [{}] });
  relayed.engines[0]?.sink.fail(lost);
  expect([relayed.outcome(), relayed.taken()]).toEqual(['ENGINE_LOST', 0]);
});

test.each([
  ['tries are used up', { mostTries: 1 }],
  ['the budget is spent', { retryBudget: new RetryBudget(0) }],
])('when %s it is not tried again', (_when, more) => {
  const relayed = startRelay({}, more);
  relayed.engines[0]?.sink.fail(lost);
  expect(relayed.outcome()).toBe('ENGINE_LOST');
});

test('what is wrong with the request is told at once', () => {
  const relayed = startRelay();
  relayed.engines[0]?.sink.fail(new MeshError('INVALID_FIELD', 'no'));
  expect([relayed.outcome(), relayed.engines.length]).toEqual(['INVALID_FIELD', 1]);
});

test('a stream goes on at a node where it was before, once that has started anew', async () => {
  const relayed = startRelay({}, { engines: [{}, {}] });
  relayed.engines[0]?.start();
  relayed.engines[0]?.sink.fail(lost);
  const second = await engine(relayed, 1);
  second.start();
  relayed.restartNode();
  second.sink.fail(lost);
  const third = await engine(relayed, 2);
  expect(third.request).toMatchObject({ engine: 'a' });
  third.start();
  third.finish();
  expect([relayed.text, relayed.outcome(), relayed.taken()]).toEqual([WHOLE, 'end', 0]);
});

test.each(WORDS.map((_word, at) => at).slice(1))(
  'a stream that breaks after %i tokens goes on, nothing lost or doubled',
  async (after) => {
    const relayed = startRelay({ sampling: { maxTokens: 50, minTokens: 3 } });
    const first = await engine(relayed, 0);
    first.start();
    first.words(after);
    first.sink.fail(lost);
    const second = await engine(relayed, 1);
    expect(second.request).toMatchObject({
      continuation: { text: WORDS.slice(0, after).join(''), tokenIds: [] },
      sampling: { maxTokens: 50 - after, minTokens: Math.max(0, 3 - after) },
    });
    second.start();
    second.finish();
    expect([relayed.text, relayed.outcome(), relayed.taken()]).toEqual([WHOLE, 'end', 0]);
    expect(names(relayed)).toEqual(['started', 'resumed', 'finished', 'usage']);
    expect(counts(relayed)).toEqual(WORDS.map((_word, at) => at + 1));
    expect(last(relayed)).toMatchObject({
      promptTokens: PROMPT_TOKENS,
      completionTokens: WORDS.length,
      cachedTokens: PROMPT_TOKENS,
    });
  },
);

test('a stream goes on as often as engines break, each of them once', async () => {
  const relayed = startRelay();
  for (const at of [0, 1]) {
    const broken = await engine(relayed, at);
    broken.start();
    broken.words(2);
    broken.sink.fail(lost);
  }
  const third = await engine(relayed, 2);
  third.start();
  third.finish();
  expect([relayed.text, relayed.outcome()]).toEqual([WHOLE, 'end']);
  const resumed = relayed.events.flatMap((event) => (event.case === 'resumed' ? [event.value] : []));
  expect(resumed).toMatchObject([
    { attempt: 2, fromToken: 2, engine: 'b' },
    { attempt: 3, fromToken: 4, engine: 'c' },
  ]);
});

test('when all have broken the first break is told, with why it did not go on', async () => {
  const relayed = startRelay({}, { engines: [{}, {}] });
  relayed.engines[0]?.start();
  relayed.engines[0]?.words(2);
  relayed.engines[0]?.sink.fail(lost);
  (await engine(relayed, 1)).sink.fail(new MeshError('CONTEXT_LENGTH_EXCEEDED', 'too long'));
  expect(relayed.error()).toMatchObject({ reason: 'ENGINE_LOST', metadata: { engine: 'a', not_resumed: 'no_engine' } });
});

const EXACT = { capabilities: { tokenIds: true, continuesTokens: true, continuesText: true } };

test('engines of one kind go on from tokens, of which a caller who did not ask hears nothing', async () => {
  const relayed = startRelay({ sampling: { maxTokens: 50 } }, { engines: [EXACT, EXACT] });
  const first = await engine(relayed, 0);
  expect(first.request.sampling?.returnTokenIds).toBe(true);
  first.start();
  first.words(2);
  // Counted, and held back when the engine broke: the other one makes it again.
  first.tell({ case: 'delta', value: { completionTokens: 4, promptTokens: PROMPT_TOKENS } });
  first.sink.fail(lost);
  const second = await engine(relayed, 1);
  expect(second.request).toMatchObject({ continuation: { tokenIds: [100, 101] }, sampling: { maxTokens: 48 } });
  second.start();
  second.finish();
  expect(relayed.text).toBe(WHOLE);
  expect(relayed.events.some((event) => event.case === 'delta' && event.value.tokenIds.length > 0)).toBe(false);
  expect(counts(relayed)).toEqual([1, 2, 4, 4, 4, 5, 6, 7]);
  expect(last(relayed)).toMatchObject({ completionTokens: WORDS.length });
});

test('tokens are not asked for while there is no other engine', () => {
  expect(startRelay({}, { engines: [EXACT] }).engines[0]?.request.sampling).toBeUndefined();
});

test('tokens that were not shown are forgotten when the answer begins anew', async () => {
  const relayed = startRelay({}, { engines: [EXACT, EXACT, EXACT] });
  relayed.engines[0]?.start();
  relayed.engines[0]?.tell({ case: 'delta', value: { tokenIds: [7], completionTokens: 1 } });
  relayed.engines[0]?.sink.fail(lost);
  const second = await engine(relayed, 1);
  second.start();
  second.words(2);
  second.sink.fail(lost);
  const third = await engine(relayed, 2);
  expect(third.request.continuation).toMatchObject({ text: 'The river', tokenIds: [100, 101] });
});

test('tokens of another kind of engine are others: its text counts', async () => {
  const relayed = startRelay({}, { engines: [EXACT, { ...EXACT, kind: 'other' }, { ...EXACT, kind: 'other' }] });
  relayed.engines[0]?.start();
  relayed.engines[0]?.words(2);
  relayed.engines[0]?.sink.fail(lost);
  const second = await engine(relayed, 1);
  expect(second.request.continuation).toMatchObject({ text: 'The river', tokenIds: [] });
  second.start();
  second.words(1);
  second.sink.fail(lost);
  expect((await engine(relayed, 2)).request.continuation).toMatchObject({ text: 'The river runs', tokenIds: [] });
});

test('a caller who asked for tokens gets them, and only an engine that knows them goes on', async () => {
  const ids = { sampling: { returnTokenIds: true } };
  const relayed = startRelay(ids, { engines: [EXACT, {}, EXACT] });
  relayed.engines[0]?.start();
  relayed.engines[0]?.words(1);
  relayed.engines[0]?.sink.fail(lost);
  const second = await engine(relayed, 1);
  expect(second.request.engine).toBe('c');
  second.start();
  second.finish();
  expect(relayed.events.flatMap((event) => (event.case === 'delta' ? event.value.tokenIds : []))).toEqual(
    WORDS.map((_word, at) => 100 + at),
  );
});

test.each([
  ['never', { resume: ResumePolicy.NEVER }, {}],
  ['choices', { sampling: { choices: 2 } }, {}],
  ['grammar', { responseFormat: { format: { case: 'jsonObject' as const, value: true } } }, {}],
  ['grammar', { engineOptions: { guided_regex: 'a+' } }, {}],
  ['echo_prompt', { echoPrompt: true }, {}],
  ['reasoning', {}, { reasoning: 'hm' }],
  ['tool_calls', {}, { toolCalls: [{ index: 0, arguments: '{' }] }],
] as const)('what cannot be continued ends at the break with the reason: %s', async (why, request, more) => {
  const relayed = startRelay(request as never);
  const first = await engine(relayed, 0);
  first.start();
  first.tell({ case: 'delta', value: { text: 'x', completionTokens: 1, ...more } as never });
  first.sink.fail(lost);
  expect(relayed.error()).toMatchObject({ reason: 'ENGINE_LOST', metadata: { engine: 'a', not_resumed: why } });
  expect([relayed.engines.length, relayed.taken()]).toEqual([1, 0]);
});

test('where streams are not continued the break is told as it is', async () => {
  const relayed = startRelay({}, { mostTakeovers: 0 });
  relayed.engines[0]?.start();
  relayed.engines[0]?.words(2);
  relayed.engines[0]?.sink.fail(lost);
  expect(relayed.error()).toBe(lost);
});

test('an engine that breaks when all is said needs nobody to go on', async () => {
  const relayed = startRelay();
  relayed.engines[0]?.start();
  relayed.engines[0]?.words(7);
  relayed.engines[0]?.tell({ case: 'finished', value: { reason: FinishReason.STOP } });
  relayed.engines[0]?.sink.fail(lost);
  expect([names(relayed), relayed.outcome()]).toEqual([['started', 'finished', 'usage'], 'end']);
  expect(last(relayed)).toMatchObject({ promptTokens: PROMPT_TOKENS, completionTokens: 7 });
});

test('so does one that breaks at the last token that was asked for', async () => {
  const relayed = startRelay({ sampling: { maxTokens: 4 } });
  relayed.engines[0]?.start();
  relayed.engines[0]?.words(4);
  relayed.engines[0]?.sink.fail(lost);
  expect(relayed.events.at(-2)?.value).toMatchObject({ reason: FinishReason.LENGTH });
  expect([relayed.engines.length, relayed.outcome()]).toEqual([1, 'end']);
});

test('an engine that hangs is given up: what it says later is dropped, and another one goes on', async () => {
  const relayed = startRelay();
  const first = await engine(relayed, 0);
  first.start();
  first.words(3);
  expect(relayed.relay.stalled(new MeshError('DEADLINE_EXCEEDED', 'Gateway timeout'))).toBe(true);
  expect(first.call.signal.aborted).toBe(true);
  first.words(2);
  const second = await engine(relayed, 1);
  second.start();
  first.words(1);
  first.sink.end();
  second.finish();
  expect([relayed.text, relayed.outcome(), relayed.taken()]).toEqual([WHOLE, 'end', 0]);
});

const late = new MeshError('DEADLINE_EXCEEDED', 'Gateway timeout', { metadata: { limit: 'first_token' } });

test.each([
  ['accepted the request', true],
  ['did not even answer', false],
])('an engine that %s and makes no token is to blame, and another one is tried', async (_what, hasAccepted) => {
  const { breakers } = startRelay();
  for (let failure = 0; failure < 5; failure += 1) {
    const relayed = startRelay({}, { breakers });
    const first = await engine(relayed, 0);
    if (hasAccepted) first.start();
    expect(relayed.relay.stalled(late)).toBe(true);
    expect(first.call.signal.aborted).toBe(true);
    const second = await engine(relayed, 1);
    second.start();
    second.finish();
    expect([relayed.text, relayed.outcome(), relayed.taken()]).toEqual([WHOLE, 'end', 0]);
  }
  expect([breakers.allows('n/a'), breakers.allows('n/b')]).toEqual([false, true]);
});

test('without another engine, or a retry left, the limit itself is told', () => {
  for (const more of [{ engines: [{}] }, { retryBudget: new RetryBudget(0) }, { mostTries: 1 }]) {
    const relayed = startRelay({}, more);
    relayed.engines[0]?.start();
    expect(relayed.relay.stalled(late)).toBe(true);
    expect([relayed.outcome(), relayed.error()?.metadata.limit, relayed.taken()]).toEqual([
      'DEADLINE_EXCEEDED',
      'first_token',
      0,
    ]);
  }
});

test('an engine is told whether another one could go on, where that makes a difference', () => {
  const resumeOf = (request: Parameters<typeof startRelay>[0], engines = [{}, {}]): ResumePolicy | undefined =>
    startRelay(request, { engines }).engines[0]?.request.resume;
  const sampling = { stop: ['END'] };
  expect(resumeOf({ sampling })).toBe(ResumePolicy.ALLOWED);
  expect(resumeOf({ sampling }, [{}])).toBe(ResumePolicy.NEVER);
  expect(resumeOf({ sampling, resume: ResumePolicy.NEVER })).toBe(ResumePolicy.NEVER);
  expect(resumeOf({ sampling: { stop: ['END'], choices: 2 } })).toBe(ResumePolicy.UNSPECIFIED);
  expect(resumeOf({})).toBe(ResumePolicy.UNSPECIFIED);
});

test('a model that is still loading is not to blame', () => {
  const engines = [{ state: EngineState.STOPPED, onDemand: true }];
  const { breakers } = startRelay();
  for (let failure = 0; failure < 5; failure += 1) startRelay({}, { breakers, engines }).relay.stalled(late);
  expect(breakers.allows('n/a')).toBe(true);
});

test('a caller who leaves while another engine is looked for is told once, and no place is kept', async () => {
  const waiting = Promise.withResolvers<void>();
  const leave = vi.fn();
  const relayed = startRelay(
    {},
    {
      booking: {
        isFull: () => {},
        hasOther: () => true,
        another: async (_request, from) => {
          await waiting.promise;
          return { ...from, leave };
        },
        oneMore: () => expect.fail('one choice'),
      },
    },
  );
  relayed.engines[0]?.start();
  relayed.engines[0]?.words(1);
  relayed.engines[0]?.sink.fail(lost);
  expect(relayed.relay.stalled(lost)).toBe(false);
  relayed.controller.abort(new MeshError('CLIENT_GONE', 'gone'));
  expect(relayed.outcome()).toBe('CLIENT_GONE');
  waiting.resolve();
  await expect.poll(() => leave.mock.calls.length).toBe(1);
  expect([relayed.engines.length, relayed.taken()]).toEqual([1, 0]);
});

test('the engine that broke is to blame, not the one that was busy or cut off by us', async () => {
  const relayed = startRelay();
  const fail = async (error: MeshError): Promise<boolean> => {
    for (let i = 0; i < 5; i += 1) startRelay({}, { breakers: relayed.breakers }).engines[0]?.sink.fail(error);
    return relayed.breakers.allows('n/a');
  };
  expect(await fail(new MeshError('ENGINE_BUSY', 'busy'))).toBe(true);
  expect(await fail(new MeshError('INVALID_FIELD', 'wrong'))).toBe(true);
  expect(await fail(new MeshError('ENGINE_FAILED', 'refused', { metadata: { status: '404' } }))).toBe(true);
  for (let i = 0; i < 5; i += 1) startRelay({}, { breakers: relayed.breakers }).controller.abort(lost);
  expect(relayed.breakers.allows('n/a')).toBe(true);
  expect(await fail(lost)).toBe(false);
});

const busy = new MeshError('ENGINE_BUSY', 'The engine runs as many requests as it may.', { metadata: { engine: 'a' } });

test('an engine that others have filled is waited for, which is no retry', async () => {
  const isFull = vi.fn();
  const relayed = startRelay({}, { engines: [{ maxConcurrency: 1 }], mostTries: 1, isFull });
  relayed.engines[0]?.sink.fail(busy);
  const again = await engine(relayed, 1);
  expect(isFull).toHaveBeenCalledTimes(1);
  again.start();
  again.finish();
  expect(names(relayed)).toEqual(['started', 'finished', 'usage']);
  expect([relayed.text, relayed.outcome(), relayed.taken()]).toEqual([WHOLE, 'end', 0]);
});

test('in mid-stream too: what goes on elsewhere waits for its place there', async () => {
  const relayed = startRelay({}, { engines: [{}, { maxConcurrency: 1 }], mostTakeovers: 1 });
  relayed.engines[0]?.start();
  relayed.engines[0]?.words(2);
  relayed.engines[0]?.sink.fail(lost);
  (await engine(relayed, 1)).sink.fail(busy);
  const third = await engine(relayed, 2);
  third.start();
  third.finish();
  expect(names(relayed)).toEqual(['started', 'resumed', 'finished', 'usage']);
  expect([relayed.text, relayed.outcome(), relayed.taken()]).toEqual([WHOLE, 'end', 0]);
});

test('a server that is busy by itself is told as it says', () => {
  const relayed = startRelay({}, { engines: [{}] });
  relayed.engines[0]?.sink.fail(busy);
  expect(relayed.outcome()).toBe('ENGINE_BUSY');
});
