import { setTimeout as delay } from 'node:timers/promises';
import type { EngineStatus } from './engine-status.ts';

const POLL_MS = 20;

/** Waits until nothing runs on an engine, at most `limitMs`. */
export async function drained(status: EngineStatus, limitMs: number): Promise<void> {
  const endsAtMs = performance.now() + limitMs;
  while (status.running > 0 && performance.now() < endsAtMs) await delay(POLL_MS);
}
