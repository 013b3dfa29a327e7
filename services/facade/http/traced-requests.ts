import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { AddressedRequest } from '../../shared/interceptors/client-ip.ts';
import { factsOf } from '../../shared/observability/request-facts.ts';
import { NAMES } from '../../shared/observability/telemetry-names.ts';
import { traceHeadersOf } from '../../shared/observability/trace-headers.ts';
import { NO_TRACER, type Span, tracer } from '../../shared/observability/tracer.ts';
import { nodeHeaderLookup } from '../../shared/transport/mesh-headers.ts';

/**
 * Makes every request a span of the trace that its caller names, or of a new one, until its answer is over. To be called before
 * other hooks are added, which then run in it.
 */
export function traceRequests(app: FastifyInstance, clientIp: (request: AddressedRequest) => string | undefined): void {
  app.decorateRequest('span', null);
  app.addHook('onRequest', (request, reply, done) => {
    const span = beginSpan(request, clientIp);
    request.span = span;
    const facts = factsOf(request.raw);
    // However its caller named it: there are other headers for traces than those of W3C.
    if (facts && span.traceId !== undefined) facts.traceId = span.traceId;
    if (!span.isRecorded) return done();
    reply.raw.once('close', () => endSpan(span, reply));
    span.within(done);
  });
  if (!tracer().isOn) return;
  // Where a body was read the request goes on in a turn of its connection.
  app.addHook('preHandler', (request, _reply, done) => (request.span ? request.span.within(done) : done()));
}

/** Routes of health and metrics: they belong to traces only where their caller says so. */
const WATCHED: ReadonlySet<string> = new Set(['/health', '/healthz', '/readyz', '/metrics']);

function beginSpan(request: FastifyRequest, clientIp: (request: AddressedRequest) => string | undefined): Span {
  const to = tracer();
  const parent = traceHeadersOf(nodeHeaderLookup(request.headers), to.headerNames);
  if (!to.isOn) return to.begin('', { kind: 'server', parent });
  // The path itself is what callers make of it, and may hold anything.
  const route = request.is404 ? undefined : request.routeOptions.config.template;
  // Whoever watches the process asks all the time.
  if (!parent && route !== undefined && WATCHED.has(route)) return NO_TRACER.begin('', { kind: 'server', parent });
  return to.begin(route === undefined ? request.method : `${request.method} ${route}`, {
    kind: 'server',
    parent,
    attributes: {
      [NAMES.httpMethod]: request.method,
      [NAMES.httpRoute]: route,
      [NAMES.urlScheme]: request.protocol,
      [NAMES.protocolVersion]: request.raw.httpVersion,
      [NAMES.userAgent]: request.headers['user-agent'],
      [NAMES.clientAddress]: clientIp(request.raw),
      [NAMES.requestId]: request.id,
    },
  });
}

function endSpan(span: Span, { raw }: FastifyReply): void {
  span.set({ [NAMES.httpStatus]: raw.statusCode });
  if (raw.statusCode >= 500) span.fail(String(raw.statusCode));
  else if (!raw.writableFinished) span.set({ [NAMES.errorType]: 'CLIENT_GONE' });
  span.end();
}
