import type { GenerationEvent } from '../../../gen/mesh/generation/v1/generation_event_pb.ts';
import type { MeshError } from '../errors/mesh-error.ts';
import type { FlowControl } from './flow-control.ts';
import type { GenerationSink } from './generate.ts';

/**
 * How many events wait for a slow reader before its engine is asked to stop, and when it may go on. An event holds the
 * tokens of one turn of the event loop, so this is about a second of a fast stream and a few kilobytes.
 */
const PAUSE_AT = 64;
const RESUME_AT = 16;

/** Where events wait between the seam, which pushes, and an RPC, which pulls. */
export interface EventQueue {
  readonly sink: GenerationSink;
  /** The next event; rejects with the failure once everything before it was read. */
  next(): Promise<IteratorResult<GenerationEvent>>;
  /** Whether the generation has ended or failed. */
  readonly ended: boolean;
}

type Waiter = PromiseWithResolvers<IteratorResult<GenerationEvent>>;

/**
 * Makes a queue for one generation and one reader, who waits for a `next` before asking again.
 *
 * @param flow is paused while too much waits
 * @param onEnd is called once, when the generation has ended or failed
 */
export function createEventQueue(flow: FlowControl, onEnd: () => void): EventQueue {
  const events: GenerationEvent[] = [];
  let head = 0;
  let outcome: { error: MeshError | undefined } | undefined;
  let waiter: Waiter | undefined;

  function finish(error: MeshError | undefined): void {
    if (outcome) return;
    outcome = { error };
    onEnd();
    if (!waiter) return;
    const waiting = waiter;
    waiter = undefined;
    if (error) waiting.reject(error);
    else waiting.resolve(DONE);
  }

  function take(): GenerationEvent | undefined {
    const event = events[head];
    if (event === undefined) return undefined;
    head += 1;
    if (head === events.length) {
      events.length = 0;
      head = 0;
    }
    if (events.length - head <= RESUME_AT) flow.resume();
    return event;
  }

  return {
    sink: {
      event(event) {
        if (outcome) return;
        if (waiter) {
          const waiting = waiter;
          waiter = undefined;
          waiting.resolve({ done: false, value: event });
          return;
        }
        events.push(event);
        if (events.length - head >= PAUSE_AT) flow.pause();
      },
      end: () => finish(undefined),
      fail: finish,
    },
    next() {
      const event = take();
      if (event) return Promise.resolve({ done: false, value: event });
      if (outcome) return outcome.error ? Promise.reject(outcome.error) : Promise.resolve(DONE);
      waiter = Promise.withResolvers();
      return waiter.promise;
    },
    get ended() {
      return outcome !== undefined;
    },
  };
}

const DONE = { done: true, value: undefined } as const;
