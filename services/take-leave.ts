import type { ServerConfig } from './server-config.ts';
import type { HealthState } from './shared/grpc/health.ts';
import { SERVICES_OF_ROLE } from './shared/transport/listened-routes.ts';
import type { Listener } from './shared/transport/listener.ts';
import { isKeeper, type Role } from './shared/transport/roles.ts';

/** Takes no more, waits for what runs, at most `limitMs`, and ends the rest. */
interface Drained {
  drain(limitMs: number): Promise<unknown>;
}

/** What of a process takes part in its end. */
interface Leaving {
  readonly config: { readonly server: Pick<ServerConfig, 'drain_grace_seconds' | 'drain_seconds'> };
  readonly roles: ReadonlySet<Role>;
  readonly health: HealthState;
  readonly listener: Listener;
  /** Told at once: routers choose other nodes. */
  readonly inference: { drain(): void } | undefined;
  readonly router: Drained | undefined;
  readonly tasks: Drained | undefined;
  /** Processes that serve callers for this one. They take leave by themselves, within their time. */
  readonly workers?: Drained;
}

/** Ends what a process does for others, in the order in which they can take it. What it is made of is closed afterwards. */
export async function takeLeave(leaving: Leaving): Promise<void> {
  const { config, roles, health, inference, listener, router, tasks, workers } = leaving;
  const graceMs = config.server.drain_grace_seconds * 1_000;
  const limitMs = config.server.drain_seconds * 1_000;
  health.set('', false);
  for (const role of roles) {
    // Who keeps things serves its peers, who ask by name, until its port is closed.
    if (!isKeeper(role)) for (const { typeName } of SERVICES_OF_ROLE[role]) health.set(typeName, false);
  }
  // The routers of other processes choose other nodes at once. One here, or of a worker, goes on for a while.
  const hasCallers = roles.has('facade') || workers !== undefined;
  if (!hasCallers) inference?.drain();
  const workersGone = workers?.drain(graceMs + limitMs);
  await listener.leave(graceMs);
  inference?.drain();
  const endsAtMs = performance.now() + limitMs;
  await Promise.all([workersGone, listener.drain(limitMs), tasks?.drain(limitMs)]);
  // After the port, which knows whose requests may still come.
  await router?.drain(Math.max(0, endsAtMs - performance.now()));
  await listener.endWork();
  // Others still settle what they ran: whoever keeps the books leaves last.
  if ([...roles].some(isKeeper) && !router) await listener.peersGone(limitMs);
}
