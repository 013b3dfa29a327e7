import { FlowControl } from '../../shared/transport/flow-control.ts';

/** The flow of a generation towards its engine: paused while its reader wants nothing, and while its tokens are not covered. */
export class GatedFlow {
  /** What the engine listens to. */
  readonly engine = new FlowControl();
  readonly #reader: FlowControl;
  #isHeld = false;

  constructor(reader: FlowControl) {
    this.#reader = reader;
    reader.connect(() => this.#update());
  }

  /** Stops the engine whatever the reader wants. */
  hold(): void {
    this.#isHeld = true;
    this.#update();
  }

  /** Leaves it to the reader again. */
  release(): void {
    this.#isHeld = false;
    this.#update();
  }

  #update(): void {
    if (this.#isHeld || this.#reader.paused) this.engine.pause();
    else this.engine.resume();
  }
}
