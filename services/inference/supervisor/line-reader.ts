/** How many characters of one stream are taken: a start may write a lot at once, and goes on at the rate. */
const FLOOD = { burst: 4 * 1024 * 1024, perSecond: 256 * 1024 };

/** How much of a flood's end is kept at least, in characters. */
const HELD_LEAST = 16 * 1024;

/** How soon after a flood its end is taken though nothing follows, in milliseconds. */
const QUIET_MS = 250;

/** Where lines go. */
export interface LineTaker {
  /** Gets every line that is not empty, at most `limit` characters of it. */
  line(text: string): void;
  /** Is told before the next line how many were left out. */
  dropped(lines: number): void;
}

/** Cuts one stream of text into lines. */
export interface LineReader {
  /** Takes a piece. Never throws or waits. */
  read(piece: string): void;
  /** Takes what has no end of line yet. */
  end(): void;
}

/**
 * Makes a reader. A carriage return ends a line too: progress bars write nothing else. In a flood most is left
 * out unlooked at, but not its end, which tells most often why it came.
 *
 * @param limit how much of a line is kept, in characters
 * @param nowMs a clock in milliseconds that does not jump
 */
export function createLineReader(taker: LineTaker, limit: number, nowMs = () => performance.now()): LineReader {
  let partial = '';
  /** Whether the rest of a line comes whose begin was left out; half a line could show half a secret. */
  let isMidLine = false;
  let budget = FLOOD.burst;
  let filledAtMs = nowMs();
  /** The newest pieces of a flood. Empty: there is none. */
  let held: string[] = [];
  let heldLength = 0;
  let droppedLines = 0;
  let timer: NodeJS.Timeout | undefined;

  function hasBudget(): boolean {
    const atMs = nowMs();
    budget = Math.min(FLOOD.burst, budget + ((atMs - filledAtMs) / 1_000) * FLOOD.perSecond);
    filledAtMs = atMs;
    return budget > 0;
  }

  function cut(piece: string): void {
    budget -= piece.length;
    let rest = piece;
    if (isMidLine) {
      const end = rest.search(/[\r\n]/);
      if (end < 0) return;
      isMidLine = false;
      rest = rest.slice(end);
    }
    const lines = (partial + rest).split(/[\r\n]+/);
    partial = (lines.pop() ?? '').slice(0, limit);
    for (const line of lines) if (line !== '') taker.line(line.slice(0, limit));
  }

  function hold(piece: string): void {
    if (held.length === 0 && partial !== '') {
      droppedLines += 1;
      partial = '';
      isMidLine = true;
    }
    held.push(piece);
    heldLength += piece.length;
    for (let oldest = held[0]; oldest !== undefined && heldLength - oldest.length >= HELD_LEAST; oldest = held[0]) {
      held.shift();
      heldLength -= oldest.length;
      droppedLines += lineEndsIn(oldest);
      isMidLine = !oldest.endsWith('\n');
    }
    timer ??= setTimeout(onQuiet, QUIET_MS).unref();
  }

  function onQuiet(): void {
    timer = undefined;
    if (hasBudget()) release();
    else if (held.length > 0) timer = setTimeout(onQuiet, QUIET_MS).unref();
  }

  function release(): void {
    if (held.length === 0) return;
    const piece = held.join('');
    held = [];
    heldLength = 0;
    if (droppedLines > 0) taker.dropped(droppedLines);
    droppedLines = 0;
    cut(piece);
  }

  return {
    read(piece) {
      if (!hasBudget()) return hold(piece);
      release();
      cut(piece);
    },
    end() {
      clearTimeout(timer);
      timer = undefined;
      release();
      if (partial !== '') taker.line(partial);
      partial = '';
    },
  };
}

function lineEndsIn(piece: string): number {
  let count = 0;
  for (let at = piece.indexOf('\n'); at >= 0; at = piece.indexOf('\n', at + 1)) count += 1;
  return count;
}
