import { Code, ConnectError, type Interceptor } from '@connectrpc/connect';

/** How often a call is made at most: one connection after another may be told to leave. */
const MOST_TRIES = 3;

/**
 * A call that came as its connection was told to leave is refused (REFUSED_STREAM): nobody has begun it, so it is made again on the
 * next connection. A stream, whose input may have been read, ends as when the connection broke.
 */
export const repeatRefused: Interceptor = (next) => async (request) => {
  for (let tries = 1; ; tries += 1) {
    try {
      return await next(request);
    } catch (error) {
      if (!isRefused(error)) throw error;
      if (request.stream || tries === MOST_TRIES) {
        throw new ConnectError('the connection was told to leave', Code.Unavailable, undefined, undefined, error);
      }
    }
  }
};

/** Connect knows some of them as internal errors. */
function isRefused(error: unknown): boolean {
  for (let one = error; one instanceof Error; one = one.cause) {
    if (one.message.includes('NGHTTP2_REFUSED_STREAM')) return true;
  }
  return false;
}
