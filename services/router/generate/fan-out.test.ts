import { expect, test } from 'vitest';
import { MeshError } from '../../shared/errors/mesh-error.ts';
import { PROMPT_TOKENS, type Relayed, startRelay, WORDS } from './relay.fixture.ts';

const CANNOT = { capabilities: { continuesText: true } };
const ASKED = { sampling: { choices: 3, seed: 5n } };
const lost = new MeshError('ENGINE_LOST', 'The engine broke off before the end.', { metadata: { engine: 'a' } });

/** Three choices, each at an engine. */
async function fanned(engines = [CANNOT, CANNOT, CANNOT]): Promise<Relayed> {
  const relayed = startRelay(ASKED, { engines });
  await expect.poll(() => relayed.engines.length).toBe(3);
  return relayed;
}

const textOf = ({ events }: Relayed, choice: number): string =>
  events.map((event) => (event.case === 'delta' && event.value.choice === choice ? event.value.text : '')).join('');

test('an engine that makes several choices gets one request', () => {
  const { engines } = startRelay(ASKED);
  expect(engines.map(({ request }) => request.sampling?.choices)).toEqual([3]);
});

test('else each choice is a request of its own, and all of them are one stream with one bill', async () => {
  const relayed = await fanned();
  expect(relayed.engines.map(({ request }) => [request.sampling?.choices, request.sampling?.seed])).toEqual([
    [undefined, 5n],
    [undefined, 6n],
    [undefined, 7n],
  ]);
  for (const engine of relayed.engines) engine.start();
  for (const engine of relayed.engines) engine.words(2);
  for (const engine of relayed.engines) engine.finish();
  expect([0, 1, 2].map((choice) => textOf(relayed, choice))).toEqual(Array(3).fill(WORDS.join('')));
  const counts = relayed.events.flatMap((event) => (event.case === 'delta' ? [event.value.completionTokens] : []));
  expect(counts).toEqual(Array.from({ length: 3 * WORDS.length }, (_, at) => at + 1));
  const named = relayed.events.map((event) => event.case).filter((name) => name !== 'delta');
  expect(named).toEqual(['started', 'finished', 'finished', 'finished', 'usage']);
  expect(relayed.events.at(-1)?.value).toMatchObject({
    promptTokens: PROMPT_TOKENS,
    completionTokens: 3 * WORDS.length,
  });
  expect([relayed.outcome(), relayed.taken()]).toEqual(['end', 0]);
});

test('a choice whose engine breaks goes on elsewhere, the others where they are', async () => {
  const relayed = await fanned();
  for (const engine of relayed.engines) engine.start();
  relayed.engines[1]?.words(3);
  relayed.engines[1]?.sink.fail(lost);
  await expect.poll(() => relayed.engines.length).toBe(4);
  relayed.engines[3]?.start();
  for (const at of [0, 2, 3]) relayed.engines[at]?.finish();
  expect([textOf(relayed, 1), relayed.outcome(), relayed.taken()]).toEqual([WORDS.join(''), 'end', 0]);
});

test('when one cannot go on all end, and the failure is told once', async () => {
  const relayed = await fanned();
  for (const engine of relayed.engines) engine.start();
  relayed.engines[2]?.sink.fail(new MeshError('INVALID_FIELD', 'no'));
  expect([relayed.outcome(), relayed.taken()]).toEqual(['INVALID_FIELD', 0]);
  expect(relayed.engines.map(({ call }) => call.signal.aborted)).toEqual([true, true, false]);
});

test('a caller who leaves ends all of them', async () => {
  const relayed = await fanned();
  relayed.controller.abort(new MeshError('CLIENT_GONE', 'gone'));
  expect([relayed.outcome(), relayed.taken()]).toEqual(['CLIENT_GONE', 0]);
});

test('choices that wait for a place have no engine that hangs', () => {
  const booking = {
    isFull: () => {},
    hasOther: () => true,
    another: async () => undefined,
    oneMore: () => new Promise<never>(() => {}),
  };
  const relayed = startRelay(ASKED, { engines: [CANNOT], booking });
  relayed.engines[0]?.start();
  relayed.engines[0]?.finish();
  expect([relayed.relay.stalled(lost), relayed.outcome()]).toEqual([true, undefined]);
});

test('why a choice gets no place is told', async () => {
  const booking = {
    isFull: () => {},
    hasOther: () => true,
    another: async () => undefined,
    oneMore: async () => {
      throw new MeshError('QUEUE_FULL', 'full');
    },
  };
  const relayed = startRelay(ASKED, { engines: [CANNOT], booking });
  await expect.poll(relayed.outcome).toBe('QUEUE_FULL');
  expect(relayed.taken()).toBe(0);
});

const promptOf = (value: string) => ({ input: { case: 'text' as const, value } });
/** Two prompts, two choices of each. */
const SEVERAL = {
  echoPrompt: true,
  morePrompts: [promptOf('And you?')],
  sampling: { choices: 2, maxTokens: 20, seed: 5n },
};

/** The four requests of SEVERAL, at engines that would make all choices of one prompt. */
async function ofSeveral(more = {}): Promise<Relayed> {
  const relayed = startRelay({ ...SEVERAL, ...more });
  await expect.poll(() => relayed.engines.length).toBe(4);
  return relayed;
}

test('each choice of several prompts is a request of its own, with its own size', async () => {
  const { engines } = await ofSeveral();
  expect(engines.map(({ request }) => [request.prompt?.input.value, request.sampling?.seed])).toEqual([
    ['Tell me.', 5n],
    ['Tell me.', 6n],
    ['And you?', 5n],
    ['And you?', 6n],
  ]);
  for (const { request } of engines) {
    expect(request).toMatchObject({ morePrompts: [], echoPrompt: true, contextTokens: 29 });
    expect(request.sampling?.choices).toBeUndefined();
  }
});

test('choices are numbered prompt by prompt, counts are sums, and each prompt is billed once', async () => {
  const relayed = await ofSeveral();
  for (const engine of relayed.engines) engine.start();
  for (const engine of relayed.engines) engine.words(1);
  const deltas = relayed.events.flatMap((event) => (event.case === 'delta' ? [event.value] : []));
  expect(deltas.map(({ choice, completionTokens }) => [choice, completionTokens])).toEqual([
    [0, 1],
    [1, 2],
    [2, 3],
    [3, 4],
  ]);
  // The length of the second prompt is not known until its first choice tells it.
  expect(deltas.map(({ promptTokens }) => promptTokens)).toEqual([0, 0, 2 * PROMPT_TOKENS, 2 * PROMPT_TOKENS]);
  for (const engine of relayed.engines.toReversed()) engine.finish();
  expect([0, 1, 2, 3].map((choice) => textOf(relayed, choice))).toEqual(Array(4).fill(WORDS.join('')));
  expect(relayed.events.filter(({ case: kind }) => kind === 'started' || kind === 'usage')).toMatchObject([
    { case: 'started' },
    { value: { promptTokens: 2 * PROMPT_TOKENS, completionTokens: 4 * WORDS.length, cachedTokens: 2 * PROMPT_TOKENS } },
  ]);
  expect([relayed.outcome(), relayed.taken()]).toEqual(['end', 0]);
});

test('when it is cut, prompts count of which something was delivered', async () => {
  const relayed = await ofSeveral();
  expect(relayed.relay.promptTokens).toBe(0);
  const [, , second] = relayed.engines;
  second?.tell({ case: 'delta', value: { text: 'x', completionTokens: 1 } });
  // By its bound, which is no more than was reserved.
  expect(relayed.relay.promptTokens).toBe(9);
  second?.tell({ case: 'delta', value: { text: 'x', completionTokens: 2, promptTokens: PROMPT_TOKENS } });
  expect(relayed.relay.promptTokens).toBe(PROMPT_TOKENS);
});

test('a choice of one of several prompts goes on elsewhere', async () => {
  const relayed = await ofSeveral({ echoPrompt: false });
  for (const engine of relayed.engines) engine.start();
  relayed.engines[3]?.words(3);
  relayed.engines[3]?.sink.fail(lost);
  await expect.poll(() => relayed.engines.length).toBe(5);
  relayed.engines[4]?.start();
  for (const at of [0, 1, 2, 4]) relayed.engines[at]?.finish();
  expect([textOf(relayed, 3), relayed.outcome(), relayed.taken()]).toEqual([WORDS.join(''), 'end', 0]);
});

test('few of many choices stand in line at a time', async () => {
  let inLine = 0;
  const grants: (() => void)[] = [];
  const booking = {
    isFull: () => {},
    hasOther: () => true,
    another: async () => undefined,
    oneMore: () => {
      inLine += 1;
      return new Promise<never>((_resolve, reject) => grants.push(() => reject(lost)));
    },
  };
  const relayed = startRelay({ morePrompts: Array(40).fill(promptOf('x')) }, { booking });
  expect([inLine, relayed.relay.stalled(lost)]).toEqual([8, true]);
  grants[0]?.();
  await expect.poll(relayed.outcome).toBe('ENGINE_LOST');
  expect(inLine).toBe(8);
});
