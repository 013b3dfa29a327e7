import { once } from 'node:events';
import http2 from 'node:http2';
import { afterAll, describe, expect, test } from 'vitest';
import { startTestListener } from './listener.fixture.ts';

/** More than the flow control of a stream lets wait, so that a client is done with the stream only when somebody reads. */
const BODY = Buffer.alloc(4 * 1024 * 1024);
const ENOUGH_BYTES = 256 * 1024;

describe('over HTTP/2 a body that was refused is read on, so that its client gets it out of its hands', async () => {
  const { listener } = await startTestListener({
    fallback(request, response) {
      let bytes = 0;
      const refuse = () => {
        if (request.listenerCount('readable') > 0) request.off('readable', onReadable);
        request.off('data', onData);
        response.statusCode = 413;
        response.end('{}');
      };
      const onData = (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes >= ENOUGH_BYTES) refuse();
      };
      const onReadable = () => {
        for (let chunk = request.read(); chunk !== null; chunk = request.read()) bytes += chunk.length;
        if (bytes >= ENOUGH_BYTES) refuse();
      };
      if (request.url === '/at-once') refuse();
      else if (request.url === '/while-it-flows') request.on('data', onData);
      else request.on('readable', onReadable);
    },
  });
  afterAll(() => listener.close());

  test.each(['/at-once', '/while-it-flows', '/while-it-is-pulled'])('%s', async (path) => {
    const session = http2.connect(listener.url);
    const stream = session.request({ ':method': 'POST', ':path': path });
    let status: unknown;
    stream.on('response', (headers) => {
      status = headers[':status'];
    });
    stream.resume().end(BODY);
    await once(stream, 'close');
    expect([status, stream.rstCode]).toEqual([413, 0]);
    session.destroy();
  });
});
