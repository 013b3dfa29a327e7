/** Engines are placed one after the other, in the order in which they asked: what starts together is placed alike each time. */
export interface PlacingQueue {
  /** Runs `place` when those before it are done, whatever came of them. */
  inTurn<Result>(place: () => Promise<Result>): Promise<Result>;
}

/** A queue with nobody in it. */
export function createPlacingQueue(): PlacingQueue {
  let last: Promise<unknown> = Promise.resolve();
  return {
    inTurn(place) {
      const turn = last.then(place, place);
      last = turn;
      return turn;
    },
  };
}
