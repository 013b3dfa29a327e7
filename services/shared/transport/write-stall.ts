import { constants } from 'node:http2';
import { Roster } from '../lifecycle/roster.ts';
import type { NodeResponse } from './exchange.ts';

interface Progress {
  readonly response: NodeResponse;
  /** Bytes that wait to be sent, as last seen. */
  pendingBytes: number;
  /** When bytes were last seen to leave, in milliseconds. */
  movedAtMs: number;
}

const stalled = new WeakSet<NodeResponse>();

/** Whether a response was cut because its client did not read. */
export function isStalled(response: NodeResponse): boolean {
  return stalled.has(response);
}

/** Watches responses whose client keeps the connection open. */
export interface WriteStallWatch {
  /** Watches a response until it closes. */
  track(response: NodeResponse, nowMs: number): void;
  /** Destroys the responses that have been stuck for too long, so that the signals of their handlers abort. */
  check(nowMs: number): void;
}

/**
 * Makes a watch. A client that keeps its connection open without reading is ended by nothing else: neither a deadline nor
 * a shutdown gets past a write that never completes.
 *
 * @param idleWriteMs how long bytes may wait without any of them leaving
 */
export function createWriteStallWatch(idleWriteMs: number): WriteStallWatch {
  const watched = new Roster<Progress>();
  return {
    track(response, nowMs) {
      const progress: Progress = { response, pendingBytes: 0, movedAtMs: nowMs };
      response.on('close', watched.add(progress));
      // A fast reader may drain and fill up again between two looks.
      response.on('drain', () => {
        progress.pendingBytes = 0;
      });
    },
    check(nowMs) {
      for (const progress of watched) {
        const { response } = progress;
        const pendingBytes = pendingOf(response);
        if (pendingBytes === 0 || progress.pendingBytes === 0 || pendingBytes < progress.pendingBytes) {
          progress.movedAtMs = nowMs;
        }
        progress.pendingBytes = pendingBytes;
        if (nowMs - progress.movedAtMs >= idleWriteMs) cut(response);
      }
    },
  };
}

/** Counts whole writes: one that is half sent counts as waiting. */
function pendingOf(response: NodeResponse): number {
  return 'stream' in response ? (response.stream?.writableLength ?? 0) : response.writableLength;
}

function cut(response: NodeResponse): void {
  stalled.add(response);
  if (!('stream' in response)) {
    response.destroy();
    return;
  }
  response.stream.close(constants.NGHTTP2_CANCEL);
  // A connection that takes nothing takes no reset either; the stream must not wait for it.
  response.stream.destroy();
}
