import type { IncomingHttpHeaders } from 'node:http';
import type { Readable } from 'node:stream';
import { MeshError } from '../../shared/errors/mesh-error.ts';
import { timeLimit } from '../../shared/lifecycle/time-limit.ts';
import { letBodyCome } from '../../shared/transport/expectation.ts';
import { HttpError } from './http-error.ts';
import { parseJson } from './json.ts';

/** Bounds of a request body. */
export interface BodyLimits {
  readonly maxBytes: number;
  /** Time from the head to the last byte, in milliseconds. */
  readonly timeoutMs: number;
}

/** Called once, with the parsed body or with a MeshError or HttpError. */
export type BodyDone = (error: Error | null, body?: unknown) => void;

/** Reads and parses a JSON body. A body over the limit is refused at once; what still arrives is dropped unread. */
export function readJsonBody(stream: Readable, headers: IncomingHttpHeaders, limits: BodyLimits, done: BodyDone): void {
  const refusal = refusalOf(headers, limits.maxBytes);
  if (refusal) {
    done(refusal);
    return;
  }
  letBodyCome(stream);
  let chunks: Buffer[] = [];
  let length = 0;
  const settle = (error: Error | null): void => {
    inTime();
    stream.off('data', onData).off('end', onEnd).off('close', onClose).off('error', onClose);
    // A socket that breaks after this point is nobody's error any more.
    stream.on('error', () => undefined);
    const [first] = chunks;
    if (error) done(error);
    else finish(first && chunks.length === 1 ? first : Buffer.concat(chunks, length), done);
    chunks = [];
  };
  const onData = (chunk: Buffer): void => {
    length += chunk.length;
    if (length > limits.maxBytes) settle(tooLarge(limits.maxBytes));
    else chunks.push(chunk);
  };
  const onEnd = (): void => settle(null);
  const onClose = (): void => settle(new MeshError('CLIENT_GONE', 'The client left before its request was complete.'));
  const inTime = timeLimit(limits.timeoutMs, () => settle(tooSlow()));
  stream.on('data', onData).on('end', onEnd).on('close', onClose).on('error', onClose);
}

function finish(bytes: Buffer, done: BodyDone): void {
  let body: unknown;
  try {
    body = parseJson(bytes);
  } catch (error) {
    done(error instanceof Error ? error : new Error('unreadable body', { cause: error }));
    return;
  }
  done(null, body);
}

function refusalOf(headers: IncomingHttpHeaders, maxBytes: number): Error | undefined {
  const encoding = headers['content-encoding']?.trim().toLowerCase();
  if (encoding && encoding !== 'identity') {
    const message = 'Content-Encoding: compressed bodies are not accepted. Send the JSON uncompressed.';
    return new HttpError(415, 'unsupported_content_encoding', message, { param: 'Content-Encoding' });
  }
  if (!isJson(headers['content-type'])) {
    const message = 'Content-Type: the body must be JSON. Send Content-Type: application/json.';
    return new HttpError(415, 'unsupported_media_type', message, { param: 'Content-Type' });
  }
  return Number(headers['content-length'] ?? 0) > maxBytes ? tooLarge(maxBytes) : undefined;
}

function isJson(contentType: string | undefined): boolean {
  const [type = '', ...parameters] = (contentType ?? '').toLowerCase().split(';');
  if (!/^(?:application\/json|application\/[\w.+-]+\+json)$/.test(type.trim())) return false;
  const charset = parameters.map((parameter) => parameter.trim()).find((parameter) => parameter.startsWith('charset='));
  return charset === undefined || /^charset="?utf-?8"?$/.test(charset);
}

function tooLarge(maxBytes: number): MeshError {
  return new MeshError('MESSAGE_TOO_LARGE', `The request body is larger than ${maxBytes} bytes.`, {
    metadata: { limit_bytes: String(maxBytes) },
  });
}

function tooSlow(): HttpError {
  return new HttpError(408, 'request_timeout', 'The request body did not arrive in time.', {
    headers: { connection: 'close' },
  });
}
