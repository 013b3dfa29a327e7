import type { Client } from '@connectrpc/connect';
import type { Logger } from 'pino';
import type { QuotaService } from '../../gen/mesh/quota/v1/quota_service_pb.ts';
import { MeshError } from '../shared/errors/mesh-error.ts';
import type { Revocation } from '../shared/interceptors/revocation.ts';
import type { Metrics } from '../shared/observability/metrics.ts';
import type { Generate } from '../shared/transport/generate.ts';
import { tracedGenerate } from '../shared/transport/traced-generate.ts';
import type { RouterConfig } from './config.ts';
import { Breakers } from './fleet/breaker.ts';
import { expireSilent } from './fleet/expiry.ts';
import { Fleet, type NodeClient } from './fleet/fleet.ts';
import { Registry } from './fleet/registry.ts';
import { declareFleetMetrics } from './fleet-metrics.ts';
import { Booking } from './generate/booking.ts';
import { Deadlines } from './generate/deadlines.ts';
import type { GenerationObserver } from './generate/generation-record.ts';
import { ROUTED_GENERATION } from './generate/generation-span.ts';
import { type AuthenticateCall, Pipeline } from './generate/pipeline.ts';
import { countPromptWith } from './generate/prompt-count.ts';
import type { EngineSide } from './generate/relay.ts';
import { Reports } from './generate/reports.ts';
import { RetryBudget } from './generate/retry-budget.ts';
import { Settlement } from './generate/settle.ts';
import { GenerationMetrics } from './generation-metrics.ts';
import { Places } from './queue/places.ts';
import { Chooser } from './select/chooser.ts';
import { EngineLoads } from './select/engine-loads.ts';
import type { OnEngineParts } from './unary/on-engine.ts';

/** What the router needs from outside. */
export interface RouterResources {
  readonly authenticate: AuthenticateCall;
  readonly quota: Client<typeof QuotaService>;
  /** The engines of the node at an address; "" is this process. */
  readonly generateAt: (address: string) => Generate;
  /** The other methods of the node at an address; "" is this process. */
  readonly inferenceAt: (address: string) => NodeClient;
  /** Where calls are counted. Unset: nowhere. */
  readonly metrics?: Metrics | undefined;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly log: Logger;
}

/** The router of this process. */
export interface RouterContext {
  readonly config: RouterConfig;
  readonly registry: Registry;
  /** The nodes, for calls that concern one of them or all. */
  readonly fleet: Fleet;
  /** The choice of engines. */
  readonly chooser: Chooser;
  readonly settlement: Settlement;
  /** What calls that are answered in one piece work with. */
  readonly unary: OnEngineParts;
  /** Who is told of every call of a model when it is over. */
  readonly observers: readonly GenerationObserver[];
  /** The front door. */
  readonly generate: Generate;
  readonly now: () => number;
  /** Takes nothing new and waits for what runs, at most `limitMs`; then ends the rest. */
  drain(limitMs: number): Promise<void>;
  /** Ends the generations that a revocation is about; what was delivered is charged. */
  cut(revocation: Revocation): void;
  /** Waits for settlements that are under way. */
  close(): Promise<void>;
}

/** How often a drain looks whether all streams have ended, in milliseconds. */
const DRAIN_POLL_MS = 20;

/** Builds the router. */
export function createRouterContext(config: RouterConfig, resources: RouterResources): RouterContext {
  const { aliases, fallbacks, weights, default_model: defaultModel, text2sql: textToSql } = config;
  const loads = new EngineLoads();
  const registry = new Registry({ aliases, fallbacks, weights, defaultModel, textToSql }, loads);
  const breakers = new Breakers({ now: () => performance.now(), onChange: () => registry.changes.notify() });
  const chooser = new Chooser({ loads, breakers, affinityBound: config.prefix_affinity_bound });
  const holdMs = config.lease_seconds * 1_000;
  const settlement = new Settlement(resources.quota, resources.log, holdMs);
  const countPrompt = countPromptWith(resources.inferenceAt);
  const places = new Places({ registry, chooser, queue: config.queue });
  const booking = new Booking({ settlement, registry, chooser, places, countPrompt });
  const { retry, migration } = config;
  const engines: EngineSide = {
    generateAt: resources.generateAt,
    booking,
    breakers,
    retryBudget: new RetryBudget(retry.budget_percent / 100),
    mostTries: retry.max_attempts,
    mostTakeovers: migration.enabled ? migration.max_attempts : 0,
  };
  const { metrics } = resources;
  const observers: GenerationObserver[] = metrics ? [new GenerationMetrics(metrics)] : [];
  const totalMs = config.timeout_seconds.total * 1_000;
  const reports = new Reports(resources.quota, resources.log, holdMs);
  const pipeline = new Pipeline({
    ...resources,
    booking,
    engines,
    reports,
    registry,
    deadlines: new Deadlines({
      totalMs,
      firstTokenMs: config.timeout_seconds.first_token * 1_000,
      betweenTokensMs: config.timeout_seconds.between_tokens * 1_000,
    }),
    observers,
  });
  if (metrics) declareFleetMetrics(metrics.registry, { registry, places, pipeline, reports, breakers, loads });
  const stopExpiring = expireSilent(registry);

  return {
    config,
    registry,
    chooser,
    settlement,
    unary: { places, registry, inferenceAt: resources.inferenceAt, engines, totalMs },
    fleet: new Fleet(registry, resources.inferenceAt),
    observers,
    generate: tracedGenerate(pipeline.generate, ROUTED_GENERATION),
    now: resources.now,
    drain: (limitMs) => drain(pipeline, limitMs),
    cut: (revocation) => pipeline.cut(revocation),
    async close() {
      stopExpiring();
      await settlement.idle();
    },
  };
}

async function drain(pipeline: Pipeline, limitMs: number): Promise<void> {
  pipeline.drain();
  const endsAtMs = performance.now() + limitMs;
  while (pipeline.runningCount > 0) {
    if (performance.now() >= endsAtMs) {
      pipeline.abortAll(new MeshError('SHUTTING_DOWN', 'The server is shutting down.', { retryAfterMs: 1_000 }));
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, DRAIN_POLL_MS));
  }
}
