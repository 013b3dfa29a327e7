import type { OutgoingHttpHeaders, ServerResponse } from 'node:http';
import type { FlowControl } from '../../shared/transport/flow-control.ts';
import { type StreamedBody, streamedBody } from './streamed-body.ts';

/** Ends a stream that is complete. */
export const DONE_FRAME = 'data: [DONE]\n\n';

const KEEP_ALIVE_FRAME = ': keep-alive\n\n';

/** An event stream towards one client. Its head leaves with the first frame. */
export interface SseStream {
  /** Whether the head has left, so that a failure can only be told as an event. */
  isOpen(): boolean;
  /** Sends ready frames in one write. */
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
  let body: StreamedBody | undefined;
  let ended = false;

  const write = (frames: string): void => {
    if (body && !body.write(frames)) flow.pause();
  };
  const openHead = (): void => {
    if (body || ended) return;
    response.writeHead(200, {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-cache',
      // nginx would hold tokens back otherwise.
      'x-accel-buffering': 'no',
      ...options.head(),
    });
    body = streamedBody(response);
    response.on('drain', () => flow.resume());
  };
  const comment = (): void => {
    if (ended) return;
    openHead();
    // A client that does not read gets no comments: they would only pile up.
    if (!flow.paused) write(KEEP_ALIVE_FRAME);
    silence.refresh();
  };
  const silence = setTimeout(() => (body ? comment() : options.onSilentStart(comment)), keepAliveMs);

  return {
    isOpen: () => body !== undefined,
    send: (frames) => {
      if (ended) return;
      if (!body) openHead();
      write(frames);
      silence.refresh();
    },
    finish: (frames) => {
      if (ended) return;
      openHead();
      ended = true;
      clearTimeout(silence);
      body?.end(frames);
    },
    stop: () => {
      ended = true;
      clearTimeout(silence);
    },
  };
}
