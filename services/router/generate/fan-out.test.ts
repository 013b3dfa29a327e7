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
