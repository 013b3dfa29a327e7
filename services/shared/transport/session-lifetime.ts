import { constants, type ServerHttp2Session } from 'node:http2';

/** How long a connection of HTTP/2 lives. */
export interface SessionLifetime {
  /** After this time, ± 10 %, it takes no new calls and ends with its last one, in milliseconds. Unset: its client decides. */
  readonly maxAgeMs?: number | undefined;
  /** How often a client for which something runs is asked whether it is still there, in milliseconds. */
  readonly pingIntervalMs: number;
  /** How long it has to answer, in milliseconds; then its connection is cut and what runs for it is told that it has gone. */
  readonly pingTimeoutMs: number;
}

/** What a port does where nothing else is said. */
export const SESSION_LIFETIME: SessionLifetime = { pingIntervalMs: 30_000, pingTimeoutMs: 20_000 };

/** So that connections that came together, as after a start, do not leave together. */
const AGE_JITTER = 0.1;

/** The highest number of a stream: the client may go on until it has heard more. */
const LAST_STREAM = 2 ** 31 - 1;

const retiring = new WeakSet<object>();

/** Leaves a connection to a trunk: what runs on it would end with GOAWAY, and it tells in its own words that nothing new begins. */
export function leaveToTrunk(session: object): void {
  retiring.add(session);
}

/** Sees to it that a connection ends in time. Where nothing runs its silence is looked at instead; see endWhenIdle. */
export function limitLifetime(session: ServerHttp2Session, lifetime: SessionLifetime): void {
  const { maxAgeMs, pingIntervalMs, pingTimeoutMs } = lifetime;
  let running = 0;
  session.on('stream', (stream) => {
    running += 1;
    stream.on('close', () => {
      running -= 1;
    });
  });
  const pings = setInterval(() => {
    if (running > 0) ask(session, pingTimeoutMs);
  }, pingIntervalMs).unref();
  session.on('close', () => clearInterval(pings));
  if (maxAgeMs === undefined) return;
  const old = setTimeout(retire, maxAgeMs * (1 + AGE_JITTER * (2 * Math.random() - 1)), session, pingTimeoutMs).unref();
  session.on('close', () => clearTimeout(old));
}

/**
 * Tells the client to open its next calls on another connection (GOAWAY). What runs goes on, and so do calls that were on their
 * way: the last number is said only after an answer of the client, which then has heard the first word.
 */
export function retire(session: ServerHttp2Session, answerTimeoutMs = SESSION_LIFETIME.pingTimeoutMs): void {
  if (session.closed || session.destroyed || retiring.has(session)) return;
  retiring.add(session);
  session.goaway(constants.NGHTTP2_NO_ERROR, LAST_STREAM);
  const late = setTimeout(close, answerTimeoutMs).unref();
  function close(): void {
    clearTimeout(late);
    if (!session.destroyed) session.close();
  }
  if (!session.ping(close)) close();
}

function ask(session: ServerHttp2Session, timeoutMs: number): void {
  if (session.destroyed) return;
  let isAnswered = false;
  const late = setTimeout(() => {
    // After a time in which this process was held up, its answer may have come and not have been read.
    setImmediate(() => {
      if (!isAnswered) session.destroy();
    });
  }, timeoutMs).unref();
  const isSent = session.ping((error) => {
    isAnswered = error === null;
    if (isAnswered) clearTimeout(late);
  });
  // Earlier ones are still to be answered, and time themselves.
  if (!isSent) clearTimeout(late);
}
