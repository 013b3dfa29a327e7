import type { GenerationEvent } from '../../../gen/mesh/generation/v1/generation_event_pb.ts';
import type { MeshError } from '../errors/mesh-error.ts';
import { charactersOf } from './event-characters.ts';
import type { FlowControl } from './flow-control.ts';
import type { GenerationSink } from './generate.ts';

/**
 * How much waits for a slow reader before its engine is asked to stop, and when it may go on: events, which hold the tokens
 * of one turn of the event loop, and characters in them, since a turn may bring a whole socket buffer.
 */
const PAUSE_AT = { events: 64, characters: 64 * 1024 };
const RESUME_AT = { events: 16, characters: 32 * 1024 };

/** Where events wait between the seam, which pushes, and an RPC, which pulls. */
export interface EventQueue {
  readonly sink: GenerationSink;
  /** The next event; rejects with the failure once everything before it was read. */
  next(): Promise<IteratorResult<GenerationEvent>>;
  /** Whether the generation has ended or failed. */
  hasEnded(): boolean;
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
  let characters = 0;
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
    characters -= charactersOf(event);
    if (head === events.length) {
      events.length = 0;
      head = 0;
    }
    if (events.length - head <= RESUME_AT.events && characters <= RESUME_AT.characters) flow.resume();
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
        characters += charactersOf(event);
        if (events.length - head >= PAUSE_AT.events || characters >= PAUSE_AT.characters) flow.pause();
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
    hasEnded: () => outcome !== undefined,
  };
}

const DONE = { done: true, value: undefined } as const;
