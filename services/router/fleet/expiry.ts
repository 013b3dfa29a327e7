import { LEASE_MS, type Registry } from './registry.ts';

/** How often silent nodes are looked for, in milliseconds: how much later than its lease a node is out at most. */
const LOOK_EVERY_MS = 90;

/** A pause of this process is told from a busy turn of its event loop by this, in milliseconds. */
const PAUSE_MS = 500;

/**
 * Takes silent nodes out of rotation until the returned function is called. What came in while this process stood still waits
 * to be read first: after a pause nodes get the time of one more report.
 */
export function expireSilent(registry: Registry, clockMs: () => number = () => performance.now()): () => void {
  let lookedAtMs = clockMs();
  let patientUntilMs = 0;
  const timer = setInterval(() => {
    const nowMs = clockMs();
    if (nowMs - lookedAtMs > PAUSE_MS) patientUntilMs = nowMs + LEASE_MS / 3;
    lookedAtMs = nowMs;
    if (nowMs >= patientUntilMs) registry.expire(nowMs);
  }, LOOK_EVERY_MS).unref();
  return () => clearInterval(timer);
}
