import { promisify } from 'node:util';
import { brotliCompress, constants, gzip } from 'node:zlib';
import { Negotiator } from '@fastify/accept-negotiator';
import type { FastifyReply, FastifyRequest } from 'fastify';

/**
 * The shortest answer that is compressed, in characters. What fits into the first packets of a connection anyway arrives no
 * sooner for being shorter, and most answers do.
 */
export const COMPRESS_FROM = 4_096;

/** In the order of preference where a client has none. Both work on threads of Node's pool, never on the event loop. */
const ENCODERS = {
  br: promisify(brotliCompress),
  gzip: promisify(gzip),
};

/** Of brotli the quality at which it is as quick as gzip. */
const OPTIONS = { br: { params: { [constants.BROTLI_PARAM_QUALITY]: 4 } }, gzip: { level: 6 } };

const negotiator = new Negotiator({ supportedValues: ['br', 'gzip', 'identity'] });

/**
 * A hook that compresses JSON answers for clients that say they take it. Streams of events pass it by: they are written as
 * they come. An answer that nobody may store (`no-store`) may hold a secret, whose length would tell something of it.
 */
export async function compressAnswer(request: FastifyRequest, reply: FastifyReply, payload: string): Promise<unknown> {
  reply.header('vary', withAcceptEncoding(reply));
  const encoding = negotiator.negotiate(String(request.headers['accept-encoding'] ?? '').toLowerCase());
  if (encoding !== 'br' && encoding !== 'gzip') return payload;
  const compressed = await ENCODERS[encoding](payload, OPTIONS[encoding]);
  reply.header('content-encoding', encoding);
  return compressed;
}

/** Whether an answer is one to compress. Costs nothing to speak of where it is not. */
export function isCompressible(request: FastifyRequest, reply: FastifyReply, payload: unknown): payload is string {
  if (typeof payload !== 'string' || payload.length < COMPRESS_FROM || request.method === 'HEAD') return false;
  if (reply.hasHeader('content-encoding') || String(reply.getHeader('cache-control')).includes('no-store'))
    return false;
  return String(reply.getHeader('content-type')).startsWith('application/json');
}

/** The value of `Vary`. What stands there already is kept: answers vary by origin where only some are allowed. */
export function withAcceptEncoding(reply: FastifyReply): string {
  const before = reply.getHeader('vary') ?? reply.raw.getHeader('vary');
  return before === undefined ? 'Accept-Encoding' : `${String(before)}, Accept-Encoding`;
}
