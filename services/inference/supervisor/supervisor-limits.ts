import { RESTART_LIMITS, type RestartLimits } from './restart-policy.ts';

/** How long things of an engine's life may take, in milliseconds. */
export interface SupervisorLimits {
  /** A start that shows no progress. */
  readonly stallMs: number;
  /** An engine that owes progress and shows none. */
  readonly hungMs: number;
  /** Between two probes of a ready engine. */
  readonly probeEveryMs: number;
  /** Between a refusal and the second look, which alone takes an engine out. */
  readonly reprobeMs: number;
  /** One probe; after that it is late. */
  readonly probeMs: number;
  /** From SIGTERM to SIGKILL. */
  readonly graceMs: number;
  /** Until killed processes are gone. */
  readonly survivorsMs: number;
  /** Until the driver reports the memory of an ended engine back. */
  readonly memoryBackMs: number;
  readonly restart: RestartLimits;
}

/** The limits of production. */
export const SUPERVISOR_LIMITS: SupervisorLimits = {
  // Compiling a large model's graphs is silent for minutes.
  stallMs: 600_000,
  hungMs: 60_000,
  // With the second look well below a second until an engine that is gone takes no more requests.
  probeEveryMs: 500,
  reprobeMs: 150,
  probeMs: 5_000,
  graceMs: 10_000,
  survivorsMs: 5_000,
  memoryBackMs: 10_000,
  restart: RESTART_LIMITS,
};

/**
 * The longest that an engine takes from being told to stop until nothing of it is left, in milliseconds. A process that ends
 * before leaves it to its guard.
 */
export const STOP_LIMIT_MS =
  SUPERVISOR_LIMITS.graceMs + SUPERVISOR_LIMITS.survivorsMs + SUPERVISOR_LIMITS.memoryBackMs + 5_000;
