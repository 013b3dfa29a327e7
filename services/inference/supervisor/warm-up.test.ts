import { expect, test } from 'vitest';
import { invalidField, MeshError } from '../../shared/errors/mesh-error.ts';
import type { EngineConnection } from '../engines/engine.ts';
import { warmUp } from './warm-up.ts';

const forever = new AbortController().signal;

/** An engine that takes prompts of some kinds, and what it was asked. */
function engine(takes: readonly string[], embeds = false): { connection: EngineConnection; asked: string[] } {
  const asked: string[] = [];
  const connection: EngineConnection = {
    generate(request, call, sink) {
      const kind = request.prompt?.input.case ?? 'none';
      asked.push(`${kind} ${request.sampling?.maxTokens}`);
      if (takes.includes('never')) {
        call.signal.addEventListener('abort', () => sink.fail(new MeshError('CLIENT_GONE', 'gone')));
      } else if (takes.includes(kind)) sink.end();
      else sink.fail(invalidField('prompt', `is no prompt for this engine (${kind})`));
    },
    tokenize: () => Promise.resolve([]),
    probe: () => Promise.resolve({}),
    close: () => Promise.resolve(),
    ...(embeds && {
      embed(inputs) {
        asked.push(`embed ${inputs.length}`);
        return Promise.resolve({ vectors: [[1]], promptTokens: 1 });
      },
    }),
  };
  return { connection, asked };
}

test('asks for one token', async () => {
  const { connection, asked } = engine(['text', 'chat'], true);
  await warmUp(connection, 'e', forever);
  expect(asked).toEqual(['text 1']);
});

test('in a chat where plain text is not taken', async () => {
  const { connection, asked } = engine(['chat']);
  await warmUp(connection, 'e', forever);
  expect(asked).toEqual(['text 1', 'chat 1']);
});

test('for a vector where nothing is generated', async () => {
  const { connection, asked } = engine([], true);
  await warmUp(connection, 'e', forever);
  expect(asked.at(-1)).toBe('embed 1');
});

test('tells the first reason when nothing works', async () => {
  await expect(warmUp(engine([]).connection, 'e', forever)).rejects.toThrow('(text)');
});

test('ends with its signal, and tries no other way then', async () => {
  const { connection, asked } = engine(['never'], true);
  await expect(warmUp(connection, 'e', AbortSignal.timeout(30))).rejects.toThrow();
  expect(asked).toEqual(['text 1']);
});
