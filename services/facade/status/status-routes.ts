import type { FastifyReply, FastifyRequest } from 'fastify';
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

type Handler = (request: FastifyRequest, reply: FastifyReply) => Promise<FastifyReply>;

/** Makes the handler of `GET /health`. */
export function healthRoute(context: StatusRouteContext): Handler {
  return async (_request, reply) => {
    const body = healthBody(await factsOf(context));
    return sendJson(reply, body.status === 'unhealthy' ? 503 : 200, body);
  };
}

/** Makes the handler of `GET /readyz`. */
export function readinessRoute(context: StatusRouteContext): Handler {
  return async (_request, reply) => {
    const reason = unreadiness(await factsOf(context));
    return reason ? sendJson(reply, 503, { status: 'not ready', reason }) : sendJson(reply, 200, { status: 'ready' });
  };
}

/** The handler of `GET /healthz`: whoever can answer is alive. */
export const livenessRoute: Handler = async (_request, reply) => sendJson(reply, 200, { status: 'ok' });

/** Makes the handler of `GET /`. */
export function indexRoute(version: string, endpoints: () => readonly string[]): Handler {
  return async (_request, reply) =>
    sendJson(reply, 200, {
      name: 'inference-mesh',
      version,
      health: '/health',
      endpoints: endpoints(),
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
