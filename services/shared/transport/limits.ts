import type { TlsOptions } from 'node:tls';

/** The largest message that a server or client of the mesh reads, in bytes, after decompression. */
export const READ_MAX_BYTES = 16 * 1024 * 1024;

/** The largest message that a server or client of the mesh writes, in bytes, before compression. */
export const WRITE_MAX_BYTES = 16 * 1024 * 1024;

/** The longest deadline that a caller may ask for, in milliseconds. */
export const MAX_TIMEOUT_MS = 10 * 60 * 1000;

/** What every RPC server of the mesh is built with. Without them a message may have 4 GiB and a deadline no end. */
export const SERVER_LIMITS = {
  readMaxBytes: READ_MAX_BYTES,
  writeMaxBytes: WRITE_MAX_BYTES,
  maxTimeoutMs: MAX_TIMEOUT_MS,
} as const;

/** What every RPC client of the mesh is built with. */
export const CLIENT_LIMITS = { readMaxBytes: READ_MAX_BYTES, writeMaxBytes: WRITE_MAX_BYTES } as const;

/** Limits of an HTTP/1.1 connection, as Node names them; milliseconds and bytes. */
export const HTTP1_LIMITS = {
  /** A client that dribbles its headers holds a socket and nothing else, but sockets are counted too. */
  headersTimeout: 5_000,
  /** Longer than the 60 s that load balancers keep a connection, so that they close first and lose no request. */
  keepAliveTimeout: 65_000,
  /** How often the timeouts of headers and bodies are looked at; they are late by up to this much. */
  connectionsCheckingInterval: 1_000,
  maxHeaderSize: 16 * 1024,
} as const;

/** Header lines of a request; Node drops what is over it. */
export const MAX_HEADERS = 64;

/**
 * What one HTTP/2 connection may hold in memory, in megabytes. Node's 10 are less than one of our largest messages, and a
 * connection that is over it has its other streams reset.
 */
const SESSION_MEMORY_MB = 64;

/** Limits of an HTTP/2 client, as Node names them. */
export const HTTP2_CLIENT_LIMITS = { maxSessionMemory: SESSION_MEMORY_MB } as const;

/** Limits of an HTTP/2 connection, as Node names them. */
export const HTTP2_LIMITS = {
  settings: {
    /**
     * One connection of a load balancer or a peer carries 256 running generations in our load, besides its short
     * calls; what is over the limit waits unseen in the client. Node's own limits on resets bound the abuse.
     */
    maxConcurrentStreams: 1024,
    maxHeaderListSize: 16 * 1024,
  },
  maxSessionMemory: SESSION_MEMORY_MB,
  /** Streams over the limit that a client may open before the connection is closed. */
  maxSessionRejectedStreams: 100,
  /** Invalid frames before the connection is closed. */
  maxSessionInvalidFrames: 100,
} as const;

/**
 * Limits of an HTTP/2 connection on a port that only processes of the mesh use. One connection carries all that a peer
 * does: every running generation, and a reset for each that its client leaves.
 */
export const HTTP2_PEER_LIMITS = {
  ...HTTP2_LIMITS,
  settings: { ...HTTP2_LIMITS.settings, maxConcurrentStreams: 65_536 },
  streamResetBurst: 1_000_000,
  streamResetRate: 100_000,
} as const;

/** The time for the first bytes of a connection, which tell HTTP/1.1 from HTTP/2, in milliseconds. */
export const FIRST_BYTES_TIMEOUT_MS = 5_000;

/** The time for a TLS handshake, in milliseconds. */
export const TLS_HANDSHAKE_TIMEOUT_MS = 5_000;

/** What processes of the mesh speak with each other over TLS, as Node names it: nobody else does, so only the newest. */
export const TLS_PROTOCOL = { minVersion: 'TLSv1.3', ALPNProtocols: ['h2'] } satisfies TlsOptions;

/**
 * What callers may speak on the public port over TLS, as Node names it. Of TLS 1.2 the ciphers are Node's own choice, of which
 * those with forward secrecy come first.
 */
export const PUBLIC_TLS_PROTOCOL = {
  minVersion: 'TLSv1.2',
  ALPNProtocols: ['h2', 'http/1.1'],
} satisfies TlsOptions;

/** The time for a request's body, in milliseconds; what is later is answered with 408. */
export const BODY_TIMEOUT_MS = 30_000;
