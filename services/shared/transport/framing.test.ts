import { once } from 'node:events';
import http2 from 'node:http2';
import net from 'node:net';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { letBodyCome } from './expectation.ts';
import { BEARER, eventually, startTestListener } from './listener.fixture.ts';

const TOKENIZE = '/mesh.router.v1.RouterService/Tokenize';
const AUTHORIZATION = `Authorization: ${BEARER.authorization}\r\n`;
const ID = /^x-request-id: (\S+)\r$/im;

const reached: string[] = [];
const { listener, seen } = await startTestListener({
  bodyTimeoutMs: 3_000,
  fallback(request, response) {
    reached.push(`${request.method} ${request.url}`);
    if (request.headers['x-refuse']) {
      response.statusCode = 401;
      return void response.end('{}');
    }
    letBodyCome(request);
    let bytes = 0;
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
    });
    request.on('end', () => response.end(JSON.stringify({ bytes })));
  },
});
afterAll(() => listener.close());
beforeEach(() => {
  reached.length = 0;
});

/** Sends bytes and collects what comes back until the server closes, or until `enough` says so. */
function raw(bytes: string, enough: (received: string) => boolean = () => false): Promise<string> {
  return new Promise((resolve) => {
    const socket = net.connect(listener.port, '127.0.0.1');
    let received = '';
    socket.write(Buffer.from(bytes, 'latin1'));
    socket.on('data', (chunk) => {
      received += chunk.toString('latin1');
      if (enough(received)) socket.destroy();
    });
    socket.on('error', () => socket.destroy());
    socket.on('close', () => resolve(received));
  });
}

const statuses = (received: string) =>
  [...received.matchAll(/HTTP\/1\.1 (\d{3})/g)].map(([, status]) => Number(status));

const HEAD = 'POST /x HTTP/1.1\r\nHost: a\r\n';
const CHUNKED = `${HEAD}Transfer-Encoding: chunked\r\n\r\n`;
const NONE = '0\r\n\r\n';
/** What an attacker hides behind a request on whose end two servers do not agree. */
const SMUGGLED = 'GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n';

const CORPUS: Record<string, [bytes: string, status?: number]> = {
  'CL.TE': [`${HEAD}Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n${NONE}G`],
  'TE.CL': [`${HEAD}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n25\r\n${SMUGGLED}\r\n${NONE}`],
  'TE.TE, one of no coding': [`${HEAD}Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n${NONE}`],
  'TE.TE, both chunked': [`${HEAD}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n${NONE}`],
  'chunked is not the last coding': [`${HEAD}Transfer-Encoding: chunked, identity\r\n\r\n${NONE}`],
  'chunked twice': [`${HEAD}Transfer-Encoding: chunked, chunked\r\n\r\n${NONE}`],
  'an unknown coding': [`${HEAD}Transfer-Encoding: xchunked\r\n\r\n${NONE}`, 501],
  'a coding before chunked': [`${HEAD}Transfer-Encoding: gzip, chunked\r\n\r\n${NONE}`, 501],
  'a coding in quotes': [`${HEAD}Transfer-Encoding: "chunked"\r\n\r\n${NONE}`, 501],
  'no coding': [`${HEAD}Transfer-Encoding:\r\n\r\n${NONE}`],
  'a vertical tab before the coding': [`${HEAD}Transfer-Encoding: \x0bchunked\r\n\r\n${NONE}`],
  'a space before the colon': [`${HEAD}Transfer-Encoding : chunked\r\n\r\n${NONE}`],
  'a folded coding': [`${HEAD}Transfer-Encoding:\r\n chunked\r\n\r\n${NONE}`],
  'chunks in HTTP/1.0': [`POST /x HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${NONE}`],
  'two lengths': [`${HEAD}Content-Length: 3\r\nContent-Length: 40\r\n\r\nabc`],
  'the same length twice': [`${HEAD}Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc`],
  'a list of lengths': [`${HEAD}Content-Length: 3, 3\r\n\r\nabc`],
  'a length with a sign': [`${HEAD}Content-Length: +3\r\n\r\nabc`],
  'a negative length': [`${HEAD}Content-Length: -3\r\n\r\nabc`],
  'a hexadecimal length': [`${HEAD}Content-Length: 0x3\r\n\r\nabc`],
  'a length with a space in it': [`${HEAD}Content-Length: 1 3\r\n\r\nabc`],
  'a length over all numbers': [`${HEAD}Content-Length: 99999999999999999999\r\n\r\nabc`],
  'no length': [`${HEAD}Content-Length:\r\n\r\nabc`],
  'lines that end with LF': ['GET /x HTTP/1.1\nHost: a\n\n'],
  'one line that ends with LF': ['GET /x HTTP/1.1\r\nHost: a\r\nX: y\nContent-Length: 40\r\n\r\n'],
  'one line that ends with CR': ['GET /x HTTP/1.1\r\nHost: a\r\nX: y\rContent-Length: 40\r\n\r\n'],
  'a head that ends with LF': ['GET /x HTTP/1.1\r\nHost: a\r\nX: y\r\n\n'],
  'obs-fold': ['GET /x HTTP/1.1\r\nHost: a\r\nX: y\r\n Content-Length: 40\r\n\r\n'],
  'a space before the first header': ['GET /x HTTP/1.1\r\n Host: a\r\nHost: a\r\n\r\n'],
  'a NUL in a value': ['GET /x HTTP/1.1\r\nHost: a\r\nX: y\0z\r\n\r\n'],
  'a NUL in a name': ['GET /x HTTP/1.1\r\nHost: a\r\nContent-Length\0: 40\r\n\r\n'],
  'a space in a name': ['GET /x HTTP/1.1\r\nHost: a\r\nContent-Length X: 40\r\n\r\n'],
  'a header without a colon': ['GET /x HTTP/1.1\r\nHost: a\r\nContent-Length\r\n\r\n'],
  'a header without a name': ['GET /x HTTP/1.1\r\nHost: a\r\n: 40\r\n\r\n'],
  'a chunk size that is none': [`${CHUNKED}zz\r\n${NONE}`],
  'a chunk size with 0x': [`${CHUNKED}0x3\r\nabc\r\n${NONE}`],
  'a chunk size that ends with LF': [`${CHUNKED}3\nabc\r\n${NONE}`],
  'a chunk size and a space': [`${CHUNKED}3 \r\nabc\r\n${NONE}`],
  'a chunk longer than it says': [`${CHUNKED}3\r\nabcd\r\n${NONE}`],
  'a chunk extension with LF': [`${CHUNKED}3;a\nb\r\nabc\r\n${NONE}`],
  'a chunk size over all numbers': [`${CHUNKED}ffffffffffffffffff\r\nabc\r\n${NONE}`],
  'chunk extensions over 16 KiB': [`${CHUNKED}3;${'a'.repeat(20_000)}\r\nabc\r\n${NONE}`, 413],
  'a length in the trailers': [`${CHUNKED}0\r\nContent-Length: 40\r\n\r\n`],
  'two hosts': ['GET /x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n'],
  'no host': ['GET /x HTTP/1.1\r\n\r\n'],
  'a version that is not there': ['GET /x HTTP/1.2\r\nHost: a\r\n\r\n'],
  'HTTP/2 in the form of HTTP/1.1': ['GET /x HTTP/2.0\r\nHost: a\r\n\r\n', 505],
  'HTTP/0.9': ['GET /x\r\n\r\n', 505],
  'tabs in the first line': ['GET\t/x\tHTTP/1.1\r\nHost: a\r\n\r\n'],
  'a control character in the path': ['GET /x\x01 HTTP/1.1\r\nHost: a\r\n\r\n'],
  'an unknown method': ['SMUGGLE /x HTTP/1.1\r\nHost: a\r\n\r\n'],
  'a tunnel': ['CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n'],
  'a header of 1 MB': [`GET /x HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(1_000_000)}\r\n\r\n`, 431],
  'a path of 100 kB': [`GET /${'x'.repeat(100_000)} HTTP/1.1\r\nHost: a\r\n\r\n`, 431],
  'a hundred headers': [`GET /x HTTP/1.1\r\nHost: a\r\n${'X: y\r\n'.repeat(100)}\r\n`, 431],
};

describe('a request that two servers may understand differently', () => {
  test.each(Object.entries(CORPUS))('%s: one answer with a request id, then the end', async (_name, entry) => {
    const [bytes, status = 400] = entry;
    const received = await raw(bytes + SMUGGLED);
    expect(statuses(received)).toEqual([status]);
    expect(received).toMatch(ID);
    expect(received.toLowerCase()).toContain('connection: close');
    expect(JSON.parse(received.split('\r\n\r\n')[1] ?? '')).toMatchObject({
      detail: expect.any(String),
      error: expect.any(String),
      status_code: status,
    });
    expect(reached.filter((request) => request.includes('smuggled'))).toEqual([]);
  });

  test.each(['CL.TE', 'TE.CL', 'two lengths', 'obs-fold', 'two hosts'])('nor does %s reach an RPC', async (name) => {
    const before = seen.contexts.length;
    const [bytes = ''] = CORPUS[name] ?? [];
    const aimed = bytes.replace('/x HTTP', `${TOKENIZE} HTTP`).replace('Host: a\r\n', `Host: a\r\n${AUTHORIZATION}`);
    expect(statuses(await raw(aimed + SMUGGLED))).toEqual([400]);
    expect(seen.contexts.length).toBe(before);
  });

  test('what is clear is served, and the connection goes on', async () => {
    const clear = `${HEAD}Content-Length: 3\r\n\r\nabc${CHUNKED}3;a=b\r\nabc\r\n${NONE}\r\nGET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`;
    expect(statuses(await raw(clear))).toEqual([200, 200, 200]);
    expect(statuses(await raw('GET /x HTTP/1.0\r\n\r\n'))).toEqual([200]);
  });
});

describe('what Node refuses by itself', () => {
  test('keeps the request id where there was a request', async () => {
    const received = await raw(`${CHUNKED.replace('\r\n\r\n', '\r\nX-Request-Id: mine-1\r\n\r\n')}zz\r\n`);
    expect([statuses(received), ID.exec(received)?.[1]]).toEqual([[400], 'mine-1']);
  });

  test('what does not come is a 408 with a request id, and 500 who dribble hold up nobody', async () => {
    const dribbling = Array.from({ length: 500 }, (_, index) => raw(`GET /x HTTP/1.1\r\nX-${index}: `));
    const body = raw(`${HEAD}X-Request-Id: mine-2\r\nContent-Length: 3\r\n\r\na`);
    expect(statuses(await raw('GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'))).toEqual([200]);
    for (const received of await Promise.all(dribbling)) {
      expect(statuses(received)).toEqual([408]);
      expect(received).toMatch(ID);
    }
    expect([statuses(await body), ID.exec(await body)?.[1]]).toEqual([[408], 'mine-2']);
  });

  test('nothing is written into an answer that has begun, or before one that is due', async () => {
    const message = JSON.stringify({ prompt: { text: 'wait' } });
    const frame = `\0\0\0\0${String.fromCharCode(message.length)}${message}`;
    const head = `POST /mesh.router.v1.RouterService/Generate HTTP/1.1\r\nHost: a\r\n${AUTHORIZATION}`;
    const stream = `${head}Content-Type: application/connect+json\r\nContent-Length: ${frame.length}\r\n\r\n${frame}`;
    const before = seen.calls.length;
    const received = await raw(`${stream}garbage\r\n\r\n`);
    expect(statuses(received).filter((status) => status !== 200)).toEqual([]);
    await eventually(() => seen.calls.slice(before).every((call) => call.signal.aborted), 'the generation is aborted');
  });
});

describe('Expect', () => {
  const BODY = '{"prompt":{"text":"x"}}';
  const head = (path: string, more: string) =>
    `POST ${path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: ${BODY.length}\r\nExpect: 100-continue\r\n${more}\r\n`;

  /** The statuses of one exchange with a client that sends its body when told to, and only then. */
  async function statusesOf(bytes: string): Promise<number[]> {
    const socket = net.connect(listener.port, '127.0.0.1');
    let received = '';
    socket.write(bytes);
    socket.on('data', (chunk) => {
      const isTold = !received.includes('100 Continue');
      received += chunk.toString('latin1');
      if (isTold && received.includes('100 Continue')) socket.write(BODY);
    });
    await once(socket, 'close');
    return statuses(received);
  }

  test('the body is asked for when the key is known, by RPCs and by the others', async () => {
    expect(await statusesOf(head(TOKENIZE, `${AUTHORIZATION}Connection: close\r\n`))).toEqual([100, 200]);
    expect(await statusesOf(head('/x', 'Connection: close\r\n'))).toEqual([100, 200]);
  });

  test('the body of nobody is not asked for, and the connection is not used again', async () => {
    expect(await statusesOf(head(TOKENIZE, 'Authorization: Bearer wrong\r\n'))).toEqual([401]);
    expect(await statusesOf(head('/x', 'X-Refuse: 1\r\n'))).toEqual([401]);
  });

  test('a connection goes on after a body that was asked for', async () => {
    const enough = (received: string) => statuses(received).length === 3;
    const after = `${BODY}GET /y HTTP/1.1\r\nHost: a\r\n\r\n`;
    expect(statuses(await raw(head('/x', '') + after, enough))).toEqual([100, 200, 200]);
  });

  test('anything else is 417', async () => {
    const received = await raw(`${HEAD}Expect: miracles\r\nConnection: close\r\n\r\n`);
    expect(statuses(received)).toEqual([417]);
    expect(received).toMatch(ID);
  });

  test('over HTTP/2 as over HTTP/1.1', async () => {
    const session = http2.connect(listener.url);
    const ask = async (more: http2.OutgoingHttpHeaders) => {
      const stream = session.request({ ':method': 'POST', 'content-type': 'application/json', ...more });
      let isTold = false;
      stream.on('continue', () => {
        isTold = true;
        stream.end(BODY);
      });
      const [headers] = (await once(stream, 'response')) as [http2.IncomingHttpHeaders];
      stream.resume();
      stream.close();
      return [isTold, headers[':status'], typeof headers['x-request-id']];
    };
    const expected = { ':path': TOKENIZE, expect: '100-continue' };
    expect(await ask({ ...expected, ...BEARER })).toEqual([true, 200, 'string']);
    expect(await ask(expected)).toEqual([false, 401, 'string']);
    expect(await ask({ ':path': '/x', expect: 'miracles' })).toEqual([false, 417, 'string']);
    session.destroy();
  });
});
