import net from 'node:net';
import tls from 'node:tls';
import type { ResponseHead } from './response-head.ts';
import { type ResponseEvents, ResponseParser } from './response-parser.ts';

/** Where a server is. */
export interface ServerAddress {
  /** Its scheme, host and port; over a Unix socket only the scheme counts. */
  readonly origin: URL;
  /** The Unix socket to connect to. Unset: TCP. */
  readonly socketPath?: string | undefined;
}

/**
 * What is told of one exchange: `onHead`, `onBody` any number of times, `onComplete`; instead of the rest `onFailed` at any time.
 * They only gather: what they lead to happens in `onReadOver`, when no parser is at work. None of them may throw.
 */
export interface ResponseHandler {
  onHead(head: ResponseHead): void;
  /** A part of the body. It lies in memory that is used again: copy what is kept. */
  onBody(bytes: Buffer): void;
  onComplete(): void;
  /**
   * The exchange broke off, by MalformedResponseError where the server broke the rules.
   *
   * @param wasSent whether the server may have seen the request
   */
  onFailed(error: Error, wasSent: boolean): void;
  /** A read has been worked off: any exchange may be paused, resumed, aborted or begun now. */
  onReadOver(): void;
}

/** What a connection tells its pool. */
export interface SocketEvents {
  /** The exchange is over, another may be sent; `keepAliveMs` is how long the server says that it waits for one. */
  onFree(socket: EngineSocket, keepAliveMs: number | undefined): void;
  /** It takes nothing any more. Called once. */
  onClosed(): void;
}

/** How long a connection attempt may take, TLS included, in milliseconds. */
const CONNECT_TIMEOUT_MS = 5_000;

/** How long the kernel lets a silent connection be before it asks whether the peer is there, in milliseconds. */
const PROBE_AFTER_MS = 60_000;

/** One for all connections: what was read is worked off before the next read. Its size is what libuv asks for by itself. */
const READ_BUFFER = Buffer.allocUnsafeSlow(64 * 1024);

/** One connection to a server, with at most one exchange at a time. */
export class EngineSocket implements ResponseEvents {
  readonly #socket: net.Socket;
  readonly #events: SocketEvents;
  readonly #parser = new ResponseParser(this);
  /** The exchange that is under way. */
  #handler: ResponseHandler | undefined;
  #head: ResponseHead | undefined;
  #isConnected = false;
  #hasServed = false;
  /** What closed it, if it was an error. */
  #cause: Error | undefined;

  /** Connects. */
  constructor(address: ServerAddress, events: SocketEvents) {
    this.#events = events;
    const socket = connect(address, (length) => {
      this.#read(length);
      return true;
    });
    this.#socket = socket;
    const timeout = setTimeout(() => socket.destroy(new Error('connect timeout')), CONNECT_TIMEOUT_MS);
    socket.once(isTls(address) ? 'secureConnect' : 'connect', () => {
      this.#isConnected = true;
      clearTimeout(timeout);
    });
    socket.on('error', (error) => {
      this.#cause ??= error;
    });
    socket.on('end', () => this.#ended());
    socket.on('close', () => {
      clearTimeout(timeout);
      this.#events.onClosed();
      this.#fail(this.#cause ?? new Error('the server closed the connection'));
    });
  }

  /** Whether the server may still take a request. */
  get isUsable(): boolean {
    return this.#socket.writable;
  }

  /** Whether it brought an answer before; then the server may be closing it just now. */
  get hasServed(): boolean {
    return this.#hasServed;
  }

  /** Sends a request, head and body, when none is under way; while it still connects, as soon as it has. */
  send(text: string, handler: ResponseHandler): void {
    this.#handler = handler;
    this.#head = undefined;
    this.#parser.next();
    this.#socket.write(text);
  }

  /** Stops reading, and goes on. Nothing if the exchange is another one. */
  setPaused(handler: ResponseHandler, paused: boolean): void {
    if (this.#handler !== handler) return;
    if (paused) this.#socket.pause();
    else this.#socket.resume();
  }

  /** Ends an exchange, and the connection with it; its handler is told nothing any more. Nothing if it is another one. */
  abort(handler: ResponseHandler): void {
    if (this.#handler !== handler) return;
    this.#handler = undefined;
    this.#socket.destroy();
  }

  /** Closes it at once; an exchange that is under way fails. */
  close(): void {
    this.#socket.destroy();
  }

  /** Of its parser. */
  onHead(head: ResponseHead): void {
    this.#head = head;
    this.#handler?.onHead(head);
  }

  /** Of its parser. */
  onBody(bytes: Buffer): void {
    this.#handler?.onBody(bytes);
  }

  /** Of its parser; the end of an exchange waits for the end of the read. */
  onComplete(): void {}

  #read(length: number): void {
    const handler = this.#handler;
    try {
      this.#parser.push(READ_BUFFER.subarray(0, length));
    } catch (error) {
      this.#cause = error as Error;
      this.#socket.destroy();
      this.#fail(this.#cause);
      return;
    }
    if (this.#parser.isIdle) this.#finish();
    handler?.onReadOver();
  }

  #ended(): void {
    const handler = this.#handler;
    if (!this.#parser.end()) return;
    this.#finish();
    handler?.onReadOver();
  }

  #finish(): void {
    const handler = this.#handler;
    if (!handler) return;
    this.#handler = undefined;
    this.#hasServed = true;
    handler.onComplete();
    const head = this.#head;
    if (!head?.keepsAlive || this.#socket.destroyed) {
      this.#socket.destroy();
      return;
    }
    // Who did not read the last answer has no say over the next.
    this.#socket.resume();
    this.#events.onFree(this, keepAliveMs(head.headers.get('keep-alive')));
  }

  #fail(error: Error): void {
    const handler = this.#handler;
    if (!handler) return;
    this.#handler = undefined;
    handler.onFailed(error, this.#isConnected);
    handler.onReadOver();
  }
}

function isTls({ origin }: ServerAddress): boolean {
  return origin.protocol === 'https:';
}

function connect(address: ServerAddress, onRead: (length: number) => boolean): net.Socket {
  const { origin, socketPath } = address;
  // An IPv6 address stands in brackets in a URL.
  const host = origin.hostname.replace(/^\[|\]$/g, '');
  const port = Number(origin.port || (isTls(address) ? 443 : 80));
  const options = {
    ...(socketPath === undefined ? { host, port } : { path: socketPath }),
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: PROBE_AFTER_MS,
    onread: { buffer: READ_BUFFER, callback: onRead },
  };
  if (!isTls(address)) return net.connect(options as net.NetConnectOpts);
  // A certificate is chosen by a name, and an address is none.
  const servername = net.isIP(host) === 0 ? host : '';
  return tls.connect({ ...options, servername, ALPNProtocols: ['http/1.1'] } as tls.ConnectionOptions);
}

/** "timeout=5, max=100" → 5000. Undefined: the server does not say. */
function keepAliveMs(header: string | undefined): number | undefined {
  const seconds = /(?:^|[\s,])timeout=(\d{1,6})(?:$|[\s,])/i.exec(header ?? '')?.[1];
  return seconds === undefined ? undefined : Number(seconds) * 1_000;
}
