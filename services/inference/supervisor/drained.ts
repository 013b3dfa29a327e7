import { setTimeout as delay } from 'node:timers/promises';
import type { EngineLoad } from './engine-load.ts';

const POLL_MS = 20;

/** Waits until nothing runs on an engine, at most `limitMs`. */
export async function drained(load: EngineLoad, limitMs: number): Promise<void> {
  const endsAtMs = performance.now() + limitMs;
  while (load.running > 0 && performance.now() < endsAtMs) await delay(POLL_MS);
}
