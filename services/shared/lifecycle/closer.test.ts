import { pino } from 'pino';
import { expect, test } from 'vitest';
import { createCloser } from './closer.ts';

test('closes in reverse order, past failures and hangs, once', async () => {
  const lines: string[] = [];
  const closer = createCloser(pino({ level: 'error' }, { write: (line: string) => lines.push(line) }));
  const closed: string[] = [];
  closer.add('first', () => {
    closed.push('first');
  });
  closer.add('hangs', () => new Promise(() => {}), 20);
  closer.add('fails', () => Promise.reject(new Error('broken pipe')));
  closer.add('throws', () => {
    throw new Error('at once');
  });
  closer.add('last', async () => {
    closed.push('last');
  });
  await Promise.all([closer.close(), closer.close()]);
  expect(closed).toEqual(['last', 'first']);
  expect(lines.map((line) => JSON.parse(line).part)).toEqual(['throws', 'fails', 'hangs']);
});
