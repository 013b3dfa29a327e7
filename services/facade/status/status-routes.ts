import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { Endpoint } from '../http/endpoint.ts';
import { JSON_TYPE } from '../http/json-type.ts';
import type { FleetView } from './fleet-view.ts';
import { type HealthFacts, healthBody, unreadiness } from './health.ts';
import { healthAnswers } from './health-schema.ts';

/** What the status routes need. */
export interface StatusRouteContext {
  readonly fleetView: FleetView;
  readonly health: () => Promise<{ storeKind: 'sqlite' | 'redis'; storeAnswers: boolean }>;
  readonly isLeaving: () => boolean;
  /** Whether one of the processes that share the port has never been ready yet. */
  readonly awaitsWorkers: () => boolean;
  readonly version: string;
}

/** `GET /health`. */
export const healthEndpoint: Endpoint<StatusRouteContext> = {
  method: 'GET',
  path: '/health',
  access: 'open',
  tag: 'Status',
  summary: 'What the mesh can serve',
  description: 'The union of what the monitors of several systems read.',
  answers: healthAnswers,
  handler: healthRoute,
};

const readySchema = z.object({ status: z.literal('ready') });
const notReadySchema = z.object({
  status: z.literal('not ready'),
  reason: z.enum(['draining', 'workers', 'store', 'registry', 'model']),
});
const aliveSchema = z.object({ status: z.literal('ok') });

/** `GET /readyz`. */
export const readinessEndpoint: Endpoint<StatusRouteContext> = {
  method: 'GET',
  path: '/readyz',
  access: 'open',
  tag: 'Status',
  summary: 'Readiness, for orchestrators',
  description: 'Ready: the store answers and every required model has an engine that is ready.',
  answers: {
    200: { description: 'Ready.', json: { name: 'Ready', schema: readySchema, example: { status: 'ready' } } },
    503: {
      description: 'Not ready, and why.',
      json: { name: 'NotReady', schema: notReadySchema, example: { status: 'not ready', reason: 'model' } },
    },
  },
  handler: readinessRoute,
};

/** `GET /healthz`. */
export const livenessEndpoint: Endpoint<unknown> = {
  method: 'GET',
  path: '/healthz',
  access: 'open',
  tag: 'Status',
  summary: 'Liveness, for orchestrators',
  description: 'Whoever can answer is alive.',
  answers: { 200: { description: 'Alive.', json: { name: 'Alive', schema: aliveSchema, example: { status: 'ok' } } } },
  handler: () => async (_request, reply) => sendJson(reply, 200, { status: 'ok' }),
};

type Handler = (request: FastifyRequest, reply: FastifyReply) => Promise<FastifyReply>;

function healthRoute(context: StatusRouteContext): Handler {
  return async (_request, reply) => {
    const body = healthBody(await factsOf(context));
    return sendJson(reply, body.status === 'unhealthy' ? 503 : 200, body);
  };
}

function readinessRoute(context: StatusRouteContext): Handler {
  return async (_request, reply) => {
    const reason = unreadiness(await factsOf(context));
    return reason ? sendJson(reply, 503, { status: 'not ready', reason }) : sendJson(reply, 200, { status: 'ready' });
  };
}

async function factsOf(context: StatusRouteContext): Promise<HealthFacts> {
  const [store, fleet] = await Promise.all([
    context.health(),
    // A registry that does not answer is itself the answer.
    context.fleetView().catch(() => undefined),
  ]);
  const { isLeaving, awaitsWorkers, version } = context;
  return { fleet, ...store, draining: isLeaving(), awaitsWorkers: awaitsWorkers(), version };
}

function sendJson(reply: FastifyReply, status: number, body: object): FastifyReply {
  if (status === 503) reply.header('retry-after', '1');
  return reply.code(status).type(JSON_TYPE).header('cache-control', 'no-store').send(JSON.stringify(body));
}
