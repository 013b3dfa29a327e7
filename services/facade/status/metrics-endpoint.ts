import type { AddressedRequest } from '../../shared/interceptors/client-ip.ts';
import { METRICS_CONTENT_TYPE } from '../../shared/observability/metrics.ts';
import type { ReadMetrics } from '../../shared/observability/metrics-reader.ts';
import { credentialOfRequest } from '../http/credentials.ts';
import type { Endpoint } from '../http/endpoint.ts';

/** What the route needs. */
export interface MetricsRouteContext {
  readonly readMetrics: ReadMetrics;
  readonly clientIp: (request: AddressedRequest) => string | undefined;
}

/** `GET /metrics`. */
export const metricsEndpoint: Endpoint<MetricsRouteContext> = {
  method: 'GET',
  path: '/metrics',
  access: 'open',
  tag: 'Status',
  summary: 'Metrics, for Prometheus',
  description:
    "Of this process, with those of its engines, in Prometheus' text format. Open unless `observability.metrics_access` says otherwise.",
  answers: { 200: { description: 'The metrics.', types: ['text/plain'] } },
  errors: {
    401: 'They are for admins.',
    403: 'They are for admins.',
    404: 'They are not told on this port.',
  },
  handler: (context) => async (request, reply) => {
    const text = await context.readMetrics(
      () => credentialOfRequest(request.raw, false),
      context.clientIp(request.raw),
    );
    // Pages of strangers in a browser on this machine have no business here, whatever origins may call.
    reply.raw.removeHeader('access-control-allow-origin');
    return reply.type(METRICS_CONTENT_TYPE).header('cache-control', 'no-store').send(text);
  },
};
