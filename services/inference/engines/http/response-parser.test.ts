import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MalformedResponseError, type ResponseHead } from './response-head.ts';
import { ResponseParser } from './response-parser.ts';

interface Parsed {
  readonly heads: ResponseHead[];
  readonly bodies: string[];
  readonly isIdle: boolean;
}

/** Parses the responses of one connection from `parts` as they were read; with `ends` the peer closes it. */
function parse(parts: readonly Buffer[], ends = false): Parsed {
  const heads: ResponseHead[] = [];
  const bodies: string[] = [];
  let body = '';
  const parser = new ResponseParser({
    onHead: (head) => heads.push(head),
    onBody: (bytes) => {
      body += bytes.toString('latin1');
    },
    onComplete: () => {
      bodies.push(body);
      body = '';
    },
  });
  parser.next();
  for (const part of parts) parser.push(Buffer.from(part));
  if (ends) parser.end();
  return { heads, bodies, isIdle: parser.isIdle };
}

const text = (response: string, ends = false): Parsed => parse([Buffer.from(response, 'latin1')], ends);

const CHUNKED = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n';

test('a body has a length, chunks, none, or the end of the connection', () => {
  expect(text('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello').bodies).toEqual(['hello']);
  expect(text(`${CHUNKED}5\r\nhello\r\nC;a=b\r\n wonderful w\r\n00\r\nx: y\r\n\r\n`).bodies).toEqual([
    'hello wonderful w',
  ]);
  expect(text('HTTP/1.1 204 No Content\r\n\r\n').bodies).toEqual(['']);
  const open = 'HTTP/1.1 200\r\n\r\nuntil the end';
  expect(text(open).isIdle).toBe(false);
  expect(text(open, true).bodies).toEqual(['until the end']);
});

test('a break is told from an end', () => {
  expect(text('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell', true).isIdle).toBe(false);
  expect(text(`${CHUNKED}5\r\nhello\r\n`, true).isIdle).toBe(false);
  expect(text(`${CHUNKED}5\r\nhello\r\n0\r\n`, true).isIdle).toBe(false);
  expect(text('HTTP/1.1 200 O', true).isIdle).toBe(false);
});

test('interim responses are skipped, headers of one name are joined', () => {
  const { heads, bodies } = text(
    'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 503 \r\nA: 1\r\nRetry-After:\t7 \r\na: 2\r\ncontent-length: 0\r\n\r\n',
  );
  expect(heads).toHaveLength(1);
  expect(heads[0]).toMatchObject({ status: 503, framing: 0, keepsAlive: true });
  expect(Object.fromEntries(heads[0]?.headers ?? [])).toEqual({ a: '1, 2', 'retry-after': '7', 'content-length': '0' });
  expect(bodies).toEqual(['']);
});

test.each([
  ['HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n', true],
  ['HTTP/1.1 200 OK\r\ncontent-length: 0\r\nConnection: Close\r\n\r\n', false],
  ['HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: upgrade, close\r\n\r\n', false],
  ['HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n', false],
  ['HTTP/1.0 200 OK\r\ncontent-length: 0\r\nconnection: keep-alive\r\n\r\n', true],
  ['HTTP/1.1 200 OK\r\n\r\n', false],
])('whether another request may follow: %j', (head, keepsAlive) => {
  expect(text(head).heads[0]?.keepsAlive).toBe(keepsAlive);
});

test.each([
  'SSH-2.0-OpenSSH_9.2\r\n\r\n',
  'HTTP/2.0 200 OK\r\n\r\n',
  'HTTP/1.1 2000 OK\r\n\r\n',
  'HTTP/1.1 200 OK\n\n\r\n\r\n',
  'HTTP/1.1 101 Switching Protocols\r\n\r\n',
  'HTTP/1.1 200 OK\r\nno colon\r\n\r\n',
  'HTTP/1.1 200 OK\r\nname : value\r\n\r\n',
  'HTTP/1.1 200 OK\r\na: b\r\n folded\r\n\r\n',
  'HTTP/1.1 200 OK\r\na: b\u0000\r\n\r\n',
  'HTTP/1.1 200 OK\r\na: b\rc\r\n\r\n',
  'HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n',
  'HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n',
  'HTTP/1.1 200 OK\r\ntransfer-encoding: identity\r\n\r\n',
  'HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n',
  'HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n',
  'HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n',
  'HTTP/1.1 200 OK\r\ncontent-length: 0x5\r\n\r\n',
  'HTTP/1.1 200 OK\r\ncontent-length: \r\n\r\n',
  `HTTP/1.1 200 OK\r\na: ${'x'.repeat(17_000)}`,
  `${CHUNKED}\r\n`,
  `${CHUNKED}x\r\n`,
  `${CHUNKED}-5\r\nhello\r\n`,
  `${CHUNKED}5\nhello\r\n`,
  `${CHUNKED}5;a\nb\r\nhello\r\n`,
  `${CHUNKED}5\r\nhelloworld`,
  `${CHUNKED}5\r\nhello\n\r`,
  `${CHUNKED}fffffffffff\r\n`,
  `${CHUNKED}5;${'x'.repeat(5_000)}`,
  `${CHUNKED}0\r\n${'x'.repeat(5_000)}`,
  `${CHUNKED}0\r\nx: y\n\r\n`,
  `${CHUNKED}0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n`,
  'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nabc',
])('what leaves a doubt is refused: %j', (response) => {
  expect(() => text(response)).toThrow(MalformedResponseError);
  // However it is cut.
  expect(() => parse([...Buffer.from(response, 'latin1')].map((byte) => Buffer.from([byte])))).toThrow(
    MalformedResponseError,
  );
});

test('no message of an error holds what came', () => {
  try {
    text('SECRET nonsense\r\n\r\n');
    expect.unreachable();
  } catch (error) {
    expect(String(error)).not.toContain('SECRET');
  }
});

test('however the bytes are cut, the same comes out', () => {
  const response = fc.record({
    before: fc.boolean(),
    headers: fc.array(fc.tuple(fc.stringMatching(/^x-[a-z]{1,8}$/), fc.stringMatching(/^[!-~]{0,20}$/)), {
      maxLength: 5,
    }),
    chunks: fc.array(fc.string({ unit: 'binary-ascii', minLength: 1, maxLength: 40 }), { maxLength: 8 }),
    isChunked: fc.boolean(),
    extension: fc.constantFrom('', ';a', ' ; q="1"'),
    trailer: fc.constantFrom('', 'x-t: 1\r\n', 'x-t: 1\r\ny: 2\r\n'),
    cuts: fc.array(fc.nat(400), { maxLength: 12 }),
  });
  fc.assert(
    fc.property(response, ({ before, headers, chunks, isChunked, extension, trailer, cuts }) => {
      const body = chunks.join('');
      const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`).join('');
      const framed = chunks.map((one) => `${one.length.toString(16)}${extension}\r\n${one}\r\n`).join('');
      const whole = Buffer.from(
        (before ? 'HTTP/1.1 100 Continue\r\n\r\n' : '') +
          (isChunked
            ? `HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n${lines}\r\n${framed}0\r\n${trailer}\r\n`
            : `HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n${lines}\r\n${body}`),
        'latin1',
      );
      const at = [...new Set([0, ...cuts.filter((cut) => cut < whole.length), whole.length])].sort((a, b) => a - b);
      const parts = at.slice(1).map((end, index) => whole.subarray(at[index], end));
      const { heads, bodies, isIdle } = parse(parts);
      expect(isIdle).toBe(true);
      expect(bodies).toEqual([body]);
      expect(heads).toHaveLength(1);
    }),
    { numRuns: 2_000 },
  );
});
