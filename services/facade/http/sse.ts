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
  const { flow, keepAliveMs } = options;
  /** Set when the head has left. */
  let body: GatheredWrites | undefined;
  let ended = false;

  const open = (): GatheredWrites => {
    if (body) return body;
    response.writeHead(200, {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-cache',
      // nginx would hold tokens back otherwise.
      'x-accel-buffering': 'no',
      ...options.head(),
    });
    response.on('drain', () => flow.resume());
    body = new GatheredWrites(streamedBody(response), () => flow.pause());
    if (!ended) waitForSilence(keepAliveMs);
    return body;
  };
  const comment = (): void => {
    const opened = open();
    // A client that does not read gets no comments: they would only pile up.
    if (!flow.paused) opened.send(KEEP_ALIVE_FRAME);
  };
  // Whoever was first, a token or the limits, has opened it.
  const openWithComment = (): void => {
    if (!body && !ended) comment();
  };
  // Looked at when it could be over, not set anew with every frame.
  const onSilence = (): void => {
    silence = undefined;
    if (!body) {
      options.onSilentStart(openWithComment);
      return;
    }
    const leftMs = body.lastSentAtMs + keepAliveMs - performance.now();
    if (leftMs <= 0) comment();
    waitForSilence(leftMs > 0 ? Math.ceil(leftMs) : keepAliveMs);
  };
  let silence: NodeJS.Timeout | undefined;
  const waitForSilence = (forMs: number): void => {
    silence ??= setTimeout(onSilence, forMs);
  };
  waitForSilence(keepAliveMs);

  return {
    isOpen: () => body !== undefined,
    send: (frames) => {
      if (ended) return;
      // The first token waits for nothing.
      if (body) body.write(frames);
      else open().send(frames);
    },
    finish: (frames) => {
      if (ended) return;
      ended = true;
      clearTimeout(silence);
      open().end(frames);
    },
    stop: () => {
      ended = true;
      clearTimeout(silence);
      body?.drop();
    },
  };
}
