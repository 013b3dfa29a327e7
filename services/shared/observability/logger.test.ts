import { ConnectError } from '@connectrpc/connect';
import { expect, test } from 'vitest';
import { createLogger } from './logger.ts';
import { NO_TRACER, setTracer } from './tracer.ts';

const SECRET = 'sk-canary-4711';

test('secrets, headers and the insides of errors never reach a line', () => {
  const lines: string[] = [];
  const log = createLogger({ level: 'debug', destination: { write: (line: string) => lines.push(line) } });
  const error = Object.assign(new ConnectError('failed', 13, { authorization: SECRET }), { config: { auth: SECRET } });
  log.info({ authorization: SECRET, 'x-api-key': SECRET, user: { password: SECRET, api_key: SECRET } }, 'a');
  log.error({ err: new Error('outer', { cause: error }), headers: { cookie: SECRET }, req: { url: SECRET } }, 'b');
  log.info({ kept: 'yes' }, 'c');
  expect(lines).toHaveLength(3);
  expect(lines.join('')).not.toContain(SECRET);
  expect(JSON.parse(lines[1] ?? '')).toMatchObject({ level: 'error', err: { message: 'outer', cause: { code: 13 } } });
  expect(JSON.parse(lines[2] ?? '')).toMatchObject({ kept: 'yes', msg: 'c' });
});

test('the level holds', () => {
  const lines: string[] = [];
  const log = createLogger({ level: 'warn', destination: { write: (line: string) => lines.push(line) } });
  log.info('no');
  log.warn('yes');
  expect(lines).toHaveLength(1);
});

test('no control character of a text reaches a line as itself', () => {
  const lines: string[] = [];
  const log = createLogger({ level: 'info', destination: { write: (line: string) => lines.push(line) } });
  const hostile = 'a\r\n{"level":"fatal"}\u001b[2J\u009b31m\u007f\u2028\u202e';
  log.info({ engine: hostile, err: new Error(hostile), [hostile]: 1 }, hostile);
  const [line = ''] = lines;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there.
  expect(line.trimEnd()).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028-\u202e]/);
  expect(JSON.parse(line)).toMatchObject({ level: 'info', engine: hostile, [hostile]: 1, msg: hostile });
});

test('a line of a request that is traced says of which trace it is, and keeps what was said of it', () => {
  const lines: string[] = [];
  const log = createLogger({ level: 'info', destination: { write: (line: string) => lines.push(line) } });
  const restore = setTracer({ ...NO_TRACER, activeTraceId: 'a'.repeat(32) });
  log.info({ kept: 1 }, 'inside');
  log.info({ traceId: 'told' }, 'told');
  restore();
  log.info('outside');
  expect(lines.map((line) => JSON.parse(line).traceId)).toEqual(['a'.repeat(32), 'told', undefined]);
  expect(JSON.parse(lines[0] ?? '')).toMatchObject({ kept: 1, msg: 'inside' });
});
