import { validateHeaderValue } from 'node:http';
import { Roster } from '../../../shared/lifecycle/roster.ts';
import { EngineSocket, type ResponseHandler, type ServerAddress } from './engine-socket.ts';

/** How a server is connected to. */
export interface EnginePoolOptions extends ServerAddress {
  /** How many exchanges may run at a time; the others wait in line. Unset: no limit. */
  readonly maxConnections?: number | undefined;
  /** How long an idle connection is kept where the server does not say, in milliseconds. Default 4 s. */
  readonly keepAliveMs?: number | undefined;
}

/** A request. */
export interface EngineRequest {
  readonly method: 'GET' | 'POST';
  /** Path and query as they go on the wire. */
  readonly path: string;
  /** Besides `host` and `content-length`: name, value, name, value … */
  readonly headers: readonly string[];
  /** Unset: none. */
  readonly body?: string | undefined;
}

/** A server may close just as we send: so long before it would a connection is not used any more, in milliseconds. */
const KEEP_ALIVE_MARGIN_MS = 1_000;

const KEEP_ALIVE_MS = 4_000;

/** What stands between the words of a request line. */
const NOT_IN_PATH = /[^\x21-\x7e]/;

/** A request that was handed to a pool. */
export class EngineExchange {
  readonly handler: ResponseHandler;
  #text: string;
  readonly #onAbort: (exchange: EngineExchange) => void;
  #socket: EngineSocket | undefined;
  #isPaused = false;
  #isOnKept = false;

  constructor(text: string, handler: ResponseHandler, onAbort: (exchange: EngineExchange) => void) {
    this.#text = text;
    this.handler = handler;
    this.#onAbort = onAbort;
  }

  /** Whether it went out on a connection that was kept from an earlier exchange. */
  get isOnKept(): boolean {
    return this.#isOnKept;
  }

  /** Sends it. */
  begin(socket: EngineSocket): void {
    this.#socket = socket;
    this.#isOnKept = socket.hasServed;
    socket.send(this.#text, this.handler);
    // A long prompt is not kept for as long as its answer takes.
    this.#text = '';
    if (this.#isPaused) socket.setPaused(this.handler, true);
  }

  /** Reads nothing more of the answer, or goes on. After its end it changes nothing. */
  setPaused(paused: boolean): void {
    this.#isPaused = paused;
    this.#socket?.setPaused(this.handler, paused);
  }

  /** Ends it at once, at the server too; its handler is told nothing any more. */
  abort(): void {
    if (this.#socket) this.#socket.abort(this.handler);
    else this.#onAbort(this);
  }
}

interface IdleSocket {
  readonly socket: EngineSocket;
  /** How long it may be used, in milliseconds of the monotonic clock. */
  readonly untilMs: number;
}

/** The connections to one server: one for each exchange, kept between them. The one used last is used first. */
export class EnginePool {
  readonly #options: EnginePoolOptions;
  readonly #host: string;
  readonly #open = new Roster<EngineSocket>();
  /** Those without an exchange, the one used last at the end; some may have been closed since. */
  #idle: IdleSocket[] = [];
  #waiting: EngineExchange[] = [];
  #sweep: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(options: EnginePoolOptions) {
    this.#options = options;
    this.#host = options.origin.host;
  }

  /**
   * Sends a request as soon as there is a connection for it.
   *
   * @throws TypeError for a path or a header that cannot stand in a request.
   */
  send(request: EngineRequest, handler: ResponseHandler): EngineExchange {
    const exchange = new EngineExchange(this.#text(request), handler, (one) => this.#forget(one));
    const { maxConnections = Number.POSITIVE_INFINITY } = this.#options;
    const socket = this.#takeIdle();
    if (this.#isClosed) queueMicrotask(() => refuse(exchange));
    else if (socket) exchange.begin(socket);
    else if (this.#open.size < maxConnections) exchange.begin(this.#connect());
    else this.#waiting.push(exchange);
    return exchange;
  }

  /** Closes all connections; what is under way fails. */
  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#sweep);
    for (const socket of this.#open) socket.close();
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const exchange of waiting) refuse(exchange);
  }

  #text({ method, path, headers, body }: EngineRequest): string {
    if (NOT_IN_PATH.test(path)) throw new TypeError('a character in the path that must be encoded');
    let text = `${method} ${path} HTTP/1.1\r\nhost: ${this.#host}\r\n`;
    if (body !== undefined || method === 'POST') text += `content-length: ${Buffer.byteLength(body ?? '')}\r\n`;
    for (let at = 0; at + 1 < headers.length; at += 2) {
      const [name, value] = [headers[at] as string, headers[at + 1] as string];
      validateHeaderValue(name, value);
      text += `${name}: ${value}\r\n`;
    }
    return `${text}\r\n${body ?? ''}`;
  }

  #connect(): EngineSocket {
    const socket = new EngineSocket(this.#options, {
      onFree: (free, keepAliveMs) => this.#free(free, keepAliveMs),
      onClosed: () => {
        leave();
        const next = this.#isClosed ? undefined : this.#waiting.shift();
        if (next) next.begin(this.#connect());
      },
    });
    const leave = this.#open.add(socket);
    return socket;
  }

  #free(socket: EngineSocket, told: number | undefined): void {
    const next = this.#waiting.shift();
    if (next) {
      next.begin(socket);
      return;
    }
    const keepMs = told === undefined ? (this.#options.keepAliveMs ?? KEEP_ALIVE_MS) : told - KEEP_ALIVE_MARGIN_MS;
    if (keepMs <= 0) {
      socket.close();
      return;
    }
    this.#idle.push({ socket, untilMs: performance.now() + keepMs });
    this.#sweep ??= setTimeout(() => this.#closeOld(), keepMs).unref();
  }

  #takeIdle(): EngineSocket | undefined {
    const now = performance.now();
    for (let idle = this.#idle.pop(); idle; idle = this.#idle.pop()) {
      if (idle.untilMs > now && idle.socket.isUsable) return idle.socket;
      idle.socket.close();
    }
    return undefined;
  }

  #closeOld(): void {
    const now = performance.now();
    const idle = this.#idle;
    this.#idle = idle.filter(({ socket, untilMs }) => untilMs > now && socket.isUsable);
    for (const { socket, untilMs } of idle) if (untilMs <= now) socket.close();
    const nextMs = this.#idle.reduce((soonest, { untilMs }) => Math.min(soonest, untilMs), Infinity);
    this.#sweep = nextMs === Infinity ? undefined : setTimeout(() => this.#closeOld(), nextMs - now).unref();
  }

  #forget(exchange: EngineExchange): void {
    this.#waiting = this.#waiting.filter((one) => one !== exchange);
  }
}

function refuse({ handler }: EngineExchange): void {
  handler.onFailed(new Error('the connections were closed'), false);
  handler.onReadOver();
}
