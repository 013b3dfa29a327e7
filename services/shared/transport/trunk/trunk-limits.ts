import { READ_MAX_BYTES } from '../limits.ts';

/**
 * How much event data a generation may have on its way, as `eventBytes` counts: what a paused reader makes a process hold.
 * Enough for 256 events per round trip.
 */
export const CREDIT_BYTES = 128 * 1024;

/** From this size on what has become ready goes in several messages, as `eventBytes` or the codec counts. */
export const MESSAGE_BYTES = 256 * 1024;

/** The largest command or event, encoded; beside it a message has room for its own framing. */
export const LARGEST_BYTES = READ_MAX_BYTES - 64;

/** How long a trunk may take to come up, in milliseconds. */
export const OPEN_TIMEOUT_MS = 5_000;

/** How the side that asks finds a host that has vanished, in milliseconds: after the sum of both. */
export const CLIENT_KEEPALIVE = { pingIntervalMs: 2_000, pingTimeoutMs: 5_000 } as const;

/** How the side that answers does: so many pings in a row are looked at and found unanswered. */
export const SERVER_KEEPALIVE = { pingIntervalMs: 1_500, unanswered: 4 } as const;

/** After a trunk that did not come up nothing is tried for this long; it doubles each time. In milliseconds. */
export const BACKOFF_MS = { first: 20, most: 500 } as const;

/** How much may be on its way over all generations of a trunk before the network is waited for, in bytes. */
export const CONNECTION_WINDOW_BYTES = 1024 * 1024;
