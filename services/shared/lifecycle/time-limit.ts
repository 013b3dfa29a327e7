import { tracer } from '../observability/tracer.ts';
import { Roster } from './roster.ts';

/** How often it is looked whose time is over, in milliseconds: how much later than asked a long limit may strike. */
const LOOK_EVERY_MS = 100;

/** Shorter limits have timers of their own, in milliseconds. */
const LONG_MS = 1_000;

interface Limited {
  readonly endsAtMs: number;
  readonly onOver: () => void;
  isOver: boolean;
}

const limited = new Roster<Limited>();
let timer: NodeJS.Timeout | undefined;

/**
 * Calls `onOver` once when `limitMs` milliseconds are over, a long limit up to LOOK_EVERY_MS later, unless the returned function
 * is called before, which is to be called in any case.
 *
 * For limits that hardly ever strike: long ones share a timer. One of Node's costs a request that is alone as much as half its
 * JSON does, for the list and the queue in which it keeps timers are made anew when no other has the same duration.
 */
export function timeLimit(limitMs: number, onOver: () => void): () => void {
  if (limitMs < LONG_MS) {
    const own = setTimeout(onOver, limitMs);
    return () => clearTimeout(own);
  }
  // It is stopped by the look that finds nobody, not by the last one who leaves: the next one is soon there.
  timer ??= tracer().outside(() => setInterval(look, LOOK_EVERY_MS));
  return limited.add({ endsAtMs: performance.now() + limitMs, onOver, isOver: false });
}

function look(): void {
  const nowMs = performance.now();
  for (const one of limited) {
    if (one.isOver || one.endsAtMs > nowMs) continue;
    one.isOver = true;
    one.onOver();
  }
  if (limited.size > 0) return;
  clearInterval(timer);
  timer = undefined;
}
