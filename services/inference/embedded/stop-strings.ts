import type { Piece } from './text-decoder.ts';

export type StopResult = { readonly piece: Piece | undefined; readonly stop: string | undefined };

export type StopFilter = {
  /** Takes a piece and gives what may be sent now. After a match the last piece has every token, and the text before it. */
  push(piece: Piece): StopResult;
  /** What was held back in case a stop string would follow. */
  flush(): Piece | undefined;
};

/** The earliest place in `text` where one of the stop strings begins; of several the first that is complete. */
export function findStop(text: string, stops: readonly string[]): { index: number; stop: string } | undefined {
  let found: { index: number; stop: string } | undefined;
  for (const stop of stops) {
    const index = text.indexOf(stop);
    if (index < 0) continue;
    if (found === undefined || index < found.index || (index === found.index && stop.length < found.stop.length)) {
      found = { index, stop };
    }
  }
  return found;
}

/** Where the longest end of `text` begins that a stop string could continue; its length if there is none. */
export function heldFrom(text: string, stops: readonly string[]): number {
  let from = text.length;
  for (const stop of stops) {
    for (let start = Math.max(0, text.length - stop.length + 1); start < from; start++) {
      if (stop.startsWith(text.slice(start))) from = start;
    }
  }
  return from;
}

/**
 * Ends a text before a stop string and never lets a part of one out. Whole pieces are held back, so the text that was
 * sent is always exactly the text of the tokens that were sent: another engine can continue from them.
 */
export function createStopFilter(stops: readonly string[]): StopFilter {
  let held: Piece[] = [];

  const join = (pieces: readonly Piece[], text: string): Piece => ({
    tokens: pieces.flatMap((piece) => piece.tokens),
    text,
  });
  const textOf = (pieces: readonly Piece[]): string => pieces.map((piece) => piece.text).join('');

  return {
    push(piece) {
      if (stops.length === 0) return { piece, stop: undefined };
      held.push(piece);
      const text = textOf(held);
      const match = findStop(text, stops);
      if (match !== undefined) {
        const last = join(held, text.slice(0, match.index));
        held = [];
        return { piece: last, stop: match.stop };
      }
      const limit = heldFrom(text, stops);
      let length = 0;
      let count = 0;
      for (const candidate of held) {
        length += candidate.text.length;
        if (length > limit) break;
        count++;
      }
      if (count === 0) return { piece: undefined, stop: undefined };
      const free = held.slice(0, count);
      held = held.slice(count);
      return { piece: free.length === 1 ? free[0] : join(free, textOf(free)), stop: undefined };
    },
    flush() {
      if (held.length === 0) return undefined;
      const rest = join(held, textOf(held));
      held = [];
      return rest;
    },
  };
}
