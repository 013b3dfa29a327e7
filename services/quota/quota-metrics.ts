import { Counter, type Registry } from 'prom-client';
import type { LimitStatus } from './budget.ts';
import type { AppliedLimit } from './limits.ts';

/** What is counted of admissions. Whose limits they are is no label: that is told by GetLimits and ExplainLimits. */
export class QuotaMetrics {
  readonly #reservations;
  readonly #refusals;

  constructor(registry: Registry) {
    const registers = [registry];
    this.#reservations = new Counter({
      name: 'mesh_quota_reservations_total',
      help: 'Requests that asked for quota, by outcome: admitted or refused.',
      labelNames: ['outcome'],
      registers,
    });
    this.#refusals = new Counter({
      name: 'mesh_quota_refusals_total',
      help: 'Limits that refused a request, by what they limit: one request may be refused by several.',
      labelNames: ['scope', 'unit', 'window'],
      registers,
    });
  }

  admitted(): void {
    this.#reservations.inc({ outcome: 'admitted' });
  }

  refused(limits: readonly AppliedLimit[], statuses: readonly LimitStatus[]): void {
    this.#reservations.inc({ outcome: 'refused' });
    for (const [i, { scope, definition }] of limits.entries()) {
      if ((statuses[i]?.retryAfterMs ?? 0) === 0) continue;
      this.#refusals.inc({ scope, unit: definition.unit, window: definition.window });
    }
  }
}
