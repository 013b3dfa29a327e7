import type { IncomingMessage } from 'node:http';
import { RequestError } from './request-error.ts';

/** Largest body that is read. */
export const MAX_BODY_BYTES = 16 * 1024 * 1024;

/** Reads a JSON body. Throws RequestError 400, 413 or 415. */
export async function readJson(request: IncomingMessage): Promise<unknown> {
  if (request.headers['content-encoding'] !== undefined) {
    throw new RequestError(415, 'The body must not be compressed.', { param: 'content-encoding' });
  }
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > MAX_BODY_BYTES) {
      throw new RequestError(413, `The body is larger than ${MAX_BODY_BYTES} bytes.`, { code: 'request_too_large' });
    }
    chunks.push(chunk);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch {
    // The parser's message quotes the body; a caller knows their own.
    throw new RequestError(400, 'The body is not valid JSON.', { code: 'invalid_json' });
  }
}
