import { MeshError } from '../../shared/errors/mesh-error.ts';

/** Why a model does not come: its start failed, or there is no room beside those that stay. */
export type Refusal = 'start-failed' | 'no-room';

/** Who waits for a model: a request, or somebody who loads it by hand. */
export interface Waiter {
  /** Ends the waiting from the waiter's side. Its reason is a MeshError. */
  readonly signal: AbortSignal;
  /** The model takes requests now. One of these three is called, once. */
  readonly ready: () => void;
  /** It does not come. */
  readonly refused: (why: Refusal) => void;
  /** The waiting is over for another reason. */
  readonly fail: (error: MeshError) => void;
}

interface Place {
  readonly waiter: Waiter;
  readonly leave: () => void;
}

/** More waiting requests than this for one model are refused: each of them holds its prompt in memory. */
const WAITING_LIMIT = 1_024;

/** Those who wait for one model, in the order in which they came. */
export class Waiting {
  readonly #model: string;
  readonly #onLeave: () => void;
  readonly #places = new Set<Place>();
  #sinceMs: number | undefined;

  /** @param onLeave is called when somebody has left by himself */
  constructor(model: string, onLeave: () => void) {
    this.#model = model;
    this.#onLeave = onLeave;
  }

  get count(): number {
    return this.#places.size;
  }

  /** Since when there has been somebody without a break, on the clock of `add`: who gives up must not cost the others' turn. */
  get sinceMs(): number | undefined {
    return this.#places.size > 0 ? this.#sinceMs : undefined;
  }

  /** Lets somebody wait, or fails him at once. */
  add(waiter: Waiter, nowMs: number): void {
    if (waiter.signal.aborted) {
      waiter.fail(waiter.signal.reason as MeshError);
      return;
    }
    if (this.#places.size >= WAITING_LIMIT) {
      const message = `${WAITING_LIMIT} requests wait for the model '${this.#model}' already.`;
      waiter.fail(new MeshError('ENGINE_BUSY', message, { metadata: { engine: this.#model }, retryAfterMs: 1_000 }));
      return;
    }
    const leave = (): void => {
      this.#places.delete(place);
      waiter.fail(waiter.signal.reason as MeshError);
      this.#onLeave();
    };
    const place: Place = { waiter, leave };
    if (this.#places.size === 0) this.#sinceMs = nowMs;
    waiter.signal.addEventListener('abort', leave, { once: true });
    this.#places.add(place);
  }

  /** Lets all go on. */
  admitAll(): void {
    for (const { waiter } of this.#takeAll()) waiter.ready();
  }

  /** Tells all that the model does not come. */
  refuseAll(why: Refusal): void {
    for (const { waiter } of this.#takeAll()) waiter.refused(why);
  }

  /** Sends all away. */
  failAll(error: MeshError): void {
    for (const { waiter } of this.#takeAll()) waiter.fail(error);
  }

  #takeAll(): Place[] {
    const all = [...this.#places];
    this.#places.clear();
    for (const { waiter, leave } of all) waiter.signal.removeEventListener('abort', leave);
    return all;
  }
}
