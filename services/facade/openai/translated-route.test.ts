import { afterEach, expect, test } from 'vitest';
import { MeshError } from '../../shared/errors/mesh-error.ts';
import { CHAT, event, type Generation, shortAnswer, startFacade, type TestFacade } from '../test-facade.ts';

let facade: TestFacade;
afterEach(() => facade.close());

/** Paths of the APIs that are translated, each with a body and the last event of a stream that is complete and of one that broke. */
const APIS = [
  ['/v1/responses', { model: 'tiny', input: 'hi' }, 'response.completed', 'error'],
  ['/v1/messages', { ...CHAT, max_tokens: 8 }, 'message_stop', 'error'],
] as const;

const eventsOf = (text: string): string[] => [...text.matchAll(/^event: (.*)$/gm)].map(([, name = '']) => name);

test.each(APIS)('%s streams', async (path, body, last) => {
  facade = await startFacade({ script: shortAnswer });
  const answer = await facade.post(path, { ...body, stream: true });
  expect(answer.headers.get('content-type')).toContain('text/event-stream');
  expect(eventsOf(await answer.text()).at(-1)).toBe(last);
});

test.each(APIS)('%s answers in one piece', async (path, body) => {
  facade = await startFacade({ script: shortAnswer });
  const answer = await facade.post(path, body);
  expect([answer.status, answer.headers.get('content-type')]).toEqual([200, expect.stringContaining('json')]);
});

test.each(APIS)('%s tells of an engine that breaks after a token', async (path, body, _last, failed) => {
  const breaking = ({ sink, call }: Generation): void => {
    sink.event(event('started', { requestId: call.requestId, model: 'tiny' }));
    sink.event(event('delta', { text: 'a', completionTokens: 1 }));
    sink.fail(new MeshError('ENGINE_LOST', 'The engine is gone.'));
  };
  facade = await startFacade({ script: breaking });
  const answer = await facade.post(path, { ...body, stream: true });
  expect(eventsOf(await answer.text()).at(-1)).toBe(failed);
});
