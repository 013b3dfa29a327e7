import http from 'node:http';
import https from 'node:https';
import { urlToHttpOptions } from 'node:url';

/** Where small requests go. */
export interface ControlTarget {
  /** Its scheme, host and port; over a socket only the scheme counts. */
  readonly baseUrl: URL;
  /** The Unix socket to connect to. Unset: TCP. */
  readonly socketPath?: string | undefined;
  /** How long an idle connection is kept, in milliseconds; less than the server keeps it. Default 4 s. */
  readonly keepAliveMs?: number | undefined;
}

/** A small request. */
export interface ControlRequest {
  readonly method: 'GET' | 'POST';
  /** Path and query as they go on the wire. */
  readonly path: string;
  /** Besides `host` and `content-length`. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | undefined;
  /** Ends it, also while it is answered. It has no other limit of time: that belongs to whoever asks. */
  readonly signal: AbortSignal;
}

/** A whole answer. */
export interface ControlAnswer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
}

/** How long a connection attempt may take, TLS included, in milliseconds. */
const CONNECT_TIMEOUT_MS = 5_000;

const KEEP_ALIVE_MS = 4_000;

/** How much of an answer is taken, in bytes. */
const ANSWER_LIMIT_BYTES = 16 * 1024 * 1024;

/**
 * Small requests to one server, on connections of their own: a probe never waits behind generations. By what Node.js has
 * loaded anyway; an HTTP client of its own takes 10 MB of every mesh.
 */
export class ControlClient {
  readonly #server: http.RequestOptions;
  readonly #request: typeof http.request;
  readonly #agent: http.Agent;
  #isClosed = false;

  constructor({ baseUrl, socketPath, keepAliveMs = KEEP_ALIVE_MS }: ControlTarget) {
    const { request, Agent } = baseUrl.protocol === 'https:' ? https : http;
    this.#request = request;
    // The time is that of idle connections: no request listens for its own.
    this.#agent = new Agent({ keepAlive: true, timeout: keepAliveMs });
    const { protocol, hostname, port } = urlToHttpOptions(baseUrl);
    this.#server = { protocol, hostname, port, ...(socketPath === undefined ? {} : { socketPath }) };
  }

  /**
   * Asks, and takes the whole answer; any status is one. What went out on a kept connection that the server closed just then is
   * asked again, so it must be something that may be asked twice.
   *
   * @throws the signal's reason; an Error for what is no answer, without the bytes that came.
   */
  async request({ body, signal, ...request }: ControlRequest): Promise<ControlAnswer> {
    signal.throwIfAborted();
    if (this.#isClosed) throw new Error('the connections were closed');
    try {
      const answer = await this.#send(request, body, signal);
      return { status: answer.statusCode ?? 0, headers: answer.headers, body: await textOf(answer) };
    } catch (error) {
      throw signal.aborted ? signal.reason : withoutBytes(error);
    }
  }

  /** Closes all connections; what is under way fails. */
  close(): void {
    this.#isClosed = true;
    this.#agent.destroy();
  }

  #send(request: http.RequestOptions, body: string | undefined, signal: AbortSignal): Promise<http.IncomingMessage> {
    return new Promise((resolve, reject) => {
      const sent = this.#request({ ...this.#server, ...request, agent: this.#agent, signal }, resolve);
      sent.on('error', (error: NodeJS.ErrnoException) => {
        const wasClosed = error.code === 'ECONNRESET' || error.code === 'EPIPE';
        // Ends with a connection that is new: each that was kept is gone by then.
        if (wasClosed && sent.reusedSocket && !this.#isClosed) resolve(this.#send(request, body, signal));
        else reject(error);
      });
      // Where the server goes over to another protocol nothing else is told, not even by the signal.
      sent.on('close', () => reject(new Error('the connection was closed without an answer')));
      sent.on('socket', (socket) => {
        if (!socket.connecting) return;
        const timeout = setTimeout(() => socket.destroy(new Error('connect timeout')), CONNECT_TIMEOUT_MS);
        socket.once('close', () => clearTimeout(timeout));
        socket.once(this.#server.protocol === 'https:' ? 'secureConnect' : 'connect', () => clearTimeout(timeout));
      });
      sent.end(body);
    });
  }
}

async function textOf(answer: http.IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of answer as AsyncIterable<Buffer>) {
    bytes += part.length;
    if (bytes > ANSWER_LIMIT_BYTES) throw new Error(`an answer of more than ${ANSWER_LIMIT_BYTES} bytes`);
    parts.push(part);
  }
  return new TextDecoder().decode(Buffer.concat(parts));
}

/** For the log: a parser's error carries the bytes that it stumbled over, which are somebody's text. */
function withoutBytes(error: unknown): unknown {
  return error instanceof Error && 'rawPacket' in error ? new Error(`no HTTP: ${error.message}`) : error;
}
