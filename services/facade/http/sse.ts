import type { OutgoingHttpHeaders, ServerResponse } from 'node:http';
import type { FlowControl } from '../../shared/transport/flow-control.ts';
import { GatheredWrites } from './gathered-writes.ts';
import { streamedBody } from './streamed-body.ts';

/** Ends a stream that is complete. */
export const DONE_FRAME = 'data: [DONE]\n\n';

const KEEP_ALIVE_FRAME = ': keep-alive\n\n';

/** An event stream towards one client. Its head leaves with the first frame. */
export interface SseStream {
  /** Whether the head has left, so that a failure can only be told as an event. */
  isOpen(): boolean;
  /** Sends ready frames, with what else is sent in this turn of the event loop. */
  send(frames: string): void;
  /** Sends the last frames and ends the answer. */
  finish(frames: string): void;
  /** Stops the timer of an answer that ends otherwise. */
  stop(): void;
}

/** What an SseStream needs. */
export interface SseOptions {
  /** Called once, when the head leaves, for headers besides those of every event stream. */
  readonly head: () => OutgoingHttpHeaders;
  /** Called once before the head if `keepAliveMs` passed without a frame; must call `open` when the head may leave. */
  readonly onSilentStart: (open: () => void) => void;
  /** Silence after which a comment is sent, in milliseconds. */
  readonly keepAliveMs: number;
  /** Paused while the client does not read. */
  readonly flow: FlowControl;
}

/** Makes the event stream of a response that nothing was written to. */
export function createSseStream(response: ServerResponse, options: SseOptions): SseStream {
  return new ResponseStream(response, options);
}

/** A class: what each token passes lies in one object. */
class ResponseStream implements SseStream {
  readonly #response: ServerResponse;
  readonly #options: SseOptions;
  /** Set when the head has left. */
  #body: GatheredWrites | undefined;
  #hasEnded = false;
  #silence: NodeJS.Timeout | undefined;

  constructor(response: ServerResponse, options: SseOptions) {
    this.#response = response;
    this.#options = options;
    this.#waitForSilence(options.keepAliveMs);
  }

  isOpen(): boolean {
    return this.#body !== undefined;
  }

  send(frames: string): void {
    if (this.#hasEnded) return;
    // The first token waits for nothing.
    if (this.#body) this.#body.write(frames);
    else this.#open().send(frames);
  }

  finish(frames: string): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    clearTimeout(this.#silence);
    this.#open().end(frames);
  }

  stop(): void {
    this.#hasEnded = true;
    clearTimeout(this.#silence);
    this.#body?.drop();
  }

  #open(): GatheredWrites {
    if (this.#body) return this.#body;
    const response = this.#response;
    const { flow, keepAliveMs, head } = this.#options;
    response.writeHead(200, {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-cache',
      // nginx would hold tokens back otherwise.
      'x-accel-buffering': 'no',
      ...head(),
    });
    response.on('drain', () => flow.resume());
    this.#body = new GatheredWrites(streamedBody(response), () => flow.pause());
    if (!this.#hasEnded) this.#waitForSilence(keepAliveMs);
    return this.#body;
  }

  #comment(): void {
    const opened = this.#open();
    // A client that does not read gets no comments: they would only pile up.
    if (!this.#options.flow.paused) opened.send(KEEP_ALIVE_FRAME);
  }

  #waitForSilence(forMs: number): void {
    this.#silence ??= setTimeout(() => this.#onSilence(), forMs);
  }

  /** Looked at when it could be over, not set anew with every frame. */
  #onSilence(): void {
    const { onSilentStart, keepAliveMs } = this.#options;
    this.#silence = undefined;
    if (!this.#body) {
      // Whoever was first, a token or the limits, has opened it.
      onSilentStart(() => {
        if (!this.#body && !this.#hasEnded) this.#comment();
      });
      return;
    }
    const leftMs = this.#body.lastSentAtMs + keepAliveMs - performance.now();
    if (leftMs <= 0) this.#comment();
    this.#waitForSilence(leftMs > 0 ? Math.ceil(leftMs) : keepAliveMs);
  }
}
