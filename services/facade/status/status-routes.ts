import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Endpoint, EndpointDescription } from '../http/endpoint.ts';
import { JSON_TYPE } from '../http/json-type.ts';
import type { FleetView } from './fleet-view.ts';
import { type HealthFacts, healthBody, unreadiness } from './health.ts';

/** What the status routes need. */
export interface StatusRouteContext {
  readonly fleetView: FleetView;
  readonly health: () => Promise<{ storeKind: 'sqlite' | 'redis'; storeAnswers: boolean }>;
  readonly isDraining: () => boolean;
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
  answers: { 200: { description: '`healthy` or `degraded`.' }, 503: { description: '`unhealthy`.' } },
  handler: healthRoute,
};

/** `GET /readyz`. */
export const readinessEndpoint: Endpoint<StatusRouteContext> = {
  method: 'GET',
  path: '/readyz',
  access: 'open',
  tag: 'Status',
  summary: 'Readiness, for orchestrators',
  description: 'Ready: the store answers and every required model has an engine that is ready.',
  answers: { 200: { description: 'Ready.' }, 503: { description: 'Not ready, and why.' } },
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
  answers: { 200: { description: 'Alive.' } },
  handler: () => async (_request, reply) => sendJson(reply, 200, { status: 'ok' }),
};

/** What the index needs. */
export interface IndexContext {
  readonly version: string;
  /** All endpoints, this one included. */
  readonly endpoints: readonly EndpointDescription[];
}

/** `GET /`. */
export const indexEndpoint: Endpoint<IndexContext> = {
  method: 'GET',
  path: '/',
  access: 'open',
  tag: 'Documentation',
  summary: 'Index of the endpoints',
  description: 'Names what is here and where it is documented.',
  answers: { 200: { description: 'The index.' } },
  handler: indexRoute,
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

function indexRoute({ version, endpoints }: IndexContext): Handler {
  return async (_request, reply) =>
    sendJson(reply, 200, {
      name: 'inference-mesh',
      version,
      health: '/health',
      endpoints: endpoints.map(({ method, path }) => `${method} ${path.replace('{+', '{')}`),
    });
}

async function factsOf(context: StatusRouteContext): Promise<HealthFacts> {
  const [store, fleet] = await Promise.all([
    context.health(),
    // A registry that does not answer is itself the answer.
    context.fleetView().catch(() => undefined),
  ]);
  return { fleet, ...store, draining: context.isDraining(), version: context.version };
}

function sendJson(reply: FastifyReply, status: number, body: object): FastifyReply {
  if (status === 503) reply.header('retry-after', '1');
  return reply.code(status).type(JSON_TYPE).header('cache-control', 'no-store').send(JSON.stringify(body));
}
