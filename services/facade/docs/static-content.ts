import { createHash } from 'node:crypto';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { Negotiator } from '@fastify/accept-negotiator';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { withAcceptEncoding } from '../http/compression.ts';

const compress = promisify(gzip);
const negotiator = new Negotiator({ supportedValues: ['gzip', 'identity'] });

/** Bytes that are the same for everyone until the next release. */
export interface StaticContent {
  readonly type: string;
  /** Names these bytes, without quotes. */
  readonly hash: string;
  readonly bytes: Buffer;
  readonly gzipped: Buffer;
}

/** Prepares content to be sent often. */
export async function staticContent(text: string | Buffer, type: string): Promise<StaticContent> {
  const bytes = Buffer.from(text);
  const hash = createHash('sha256').update(bytes).digest('hex').slice(0, 16);
  return { type, hash, bytes, gzipped: await compress(bytes) };
}

/**
 * Makes content when it is first asked for and keeps it; after a failure the next one tries again. Who never looks at the
 * documentation pays nothing for it.
 */
export function keptContent(make: () => Promise<StaticContent>): () => Promise<StaticContent> {
  let kept: Promise<StaticContent> | undefined;
  return () => {
    kept ??= make().catch((error: unknown) => {
      kept = undefined;
      throw error;
    });
    return kept;
  };
}

/** Longest time that others may keep an address which names its content, in seconds: a year. */
const FOREVER_SECONDS = 31_536_000;

/** Answers with content. An address with the hash of it (`?v=`) may be kept for good, any other has to be asked for again. */
export function sendContent(content: StaticContent, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const named = request.url.endsWith(`?v=${content.hash}`);
  reply
    .header('cache-control', named ? `public, max-age=${FOREVER_SECONDS}, immutable` : 'no-cache')
    .header('vary', withAcceptEncoding(reply))
    .header('x-content-type-options', 'nosniff')
    // Weak: the compressed form has the same one.
    .header('etag', `W/"${content.hash}"`);
  if (request.headers['if-none-match']?.includes(`"${content.hash}"`)) return reply.code(304).send();
  reply.type(content.type);
  if (!takesGzip(request)) return reply.send(content.bytes);
  return reply.header('content-encoding', 'gzip').send(content.gzipped);
}

function takesGzip({ headers }: FastifyRequest): boolean {
  return negotiator.negotiate(String(headers['accept-encoding'] ?? '').toLowerCase()) === 'gzip';
}
