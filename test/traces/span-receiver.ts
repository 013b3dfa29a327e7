import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import type { SeenSpan } from './span-tree.ts';

/** A collector of traces that takes OTLP over HTTP as JSON. */
export interface SpanReceiver {
  /** For OTEL_EXPORTER_OTLP_ENDPOINT. */
  readonly url: string;
  /** Everything that was sent, as it came. */
  readonly bodies: readonly Buffer[];
  /** The spans of a trace so far. */
  trace(traceId: string): readonly SeenSpan[];
  readonly spans: readonly SeenSpan[];
  stop(): void;
}

interface Attribute {
  readonly key: string;
  readonly value: Readonly<Record<string, unknown>>;
}

interface Sent {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: readonly Attribute[] };
    readonly scopeSpans: readonly {
      readonly spans: readonly {
        readonly traceId: string;
        readonly spanId: string;
        readonly parentSpanId?: string;
        readonly name: string;
        readonly attributes?: readonly Attribute[];
        readonly events?: readonly { readonly name: string }[];
      }[];
    }[];
  }[];
}

/** Starts one. */
export async function startSpanReceiver(): Promise<SpanReceiver> {
  const bodies: Buffer[] = [];
  const spans: SeenSpan[] = [];
  const server = createServer((request, response) => {
    void buffer(request).then((body) => {
      bodies.push(body);
      spans.push(...spansOf(JSON.parse(body.toString()) as Sent));
      response.setHeader('content-type', 'application/json').end('{}');
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    bodies,
    spans,
    trace: (traceId) => spans.filter((span) => span.traceId === traceId),
    stop() {
      server.close();
      server.closeAllConnections();
    },
  };
}

function spansOf({ resourceSpans }: Sent): SeenSpan[] {
  return resourceSpans.flatMap(({ resource, scopeSpans }) => {
    const service = String(valuesOf(resource.attributes)['service.name']);
    return scopeSpans.flatMap((scope) =>
      scope.spans.map(({ traceId, spanId, parentSpanId = '', name, attributes = [], events = [] }) => ({
        ...{ traceId, spanId, parentId: parentSpanId, name, service, attributes: valuesOf(attributes) },
        events: events.map((event) => event.name),
      })),
    );
  });
}

function valuesOf(attributes: readonly Attribute[]): Record<string, unknown> {
  return Object.fromEntries(attributes.map(({ key, value }) => [key, plainValue(value)]));
}

function plainValue(value: Readonly<Record<string, unknown>>): unknown {
  const [kind, inner] = Object.entries(value)[0] ?? [];
  if (kind === 'arrayValue') {
    return (inner as { values: Record<string, unknown>[] }).values.map(plainValue);
  }
  return kind === 'intValue' ? Number(inner) : inner;
}
