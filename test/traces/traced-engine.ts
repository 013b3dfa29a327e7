import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { request as ask, createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type FakeEngine, startFakeEngine } from '../engines/fake-engine.ts';
import type { FakeScript } from '../engines/fake-openai.ts';

/** A fake engine that records traces as vLLM does: a span `llm_request` below what the headers of a request name. */
export interface TracedEngine {
  readonly baseUrl: string;
  /** Behind it. */
  readonly fake: FakeEngine;
  /** The headers of the last generation. */
  readonly headers: IncomingMessage['headers'];
  stop(): Promise<void>;
}

/** Starts one that sends its spans to an OTLP endpoint; undefined: nowhere. */
export async function startTracedEngine(otlpUrl: string | undefined, script: FakeScript): Promise<TracedEngine> {
  const fake = await startFakeEngine(script);
  let headers: IncomingMessage['headers'] = {};
  const server = createServer((incoming, outgoing) => {
    const isGeneration = incoming.method === 'POST' && incoming.url?.startsWith('/v1/') === true;
    if (isGeneration) {
      headers = incoming.headers;
      outgoing.once('close', () => void sendSpan(otlpUrl, incoming.headers.traceparent));
    }
    if (incoming.url === '/v1/embeddings') answerVectors(incoming, outgoing);
    else passOn(incoming, outgoing, fake.baseUrl);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}${new URL(fake.baseUrl).pathname}`,
    fake,
    get headers() {
      return headers;
    },
    async stop() {
      server.close();
      server.closeAllConnections();
      await fake.stop();
    },
  };
}

function passOn(incoming: IncomingMessage, outgoing: ServerResponse, baseUrl: string): void {
  const { method, headers, url = '' } = incoming;
  const upstream = ask(new URL(url, baseUrl), { method, headers }, (answer) => {
    outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
    answer.pipe(outgoing);
  });
  upstream.on('error', () => outgoing.destroy());
  outgoing.on('close', () => upstream.destroy());
  incoming.pipe(upstream);
}

/** One vector, whatever was asked. */
function answerVectors(incoming: IncomingMessage, outgoing: ServerResponse): void {
  incoming.resume();
  const body = { data: [{ index: 0, embedding: [0.5, 0.25] }], usage: { prompt_tokens: 2 } };
  outgoing.setHeader('content-type', 'application/json').end(JSON.stringify(body));
}

async function sendSpan(otlpUrl: string | undefined, traceparent: string | string[] | undefined): Promise<void> {
  // A warm-up has no trace, and another one's caller may not want it recorded.
  if (otlpUrl === undefined || typeof traceparent !== 'string' || traceparent.endsWith('-00')) return;
  const [, traceId, parentSpanId] = traceparent.split('-');
  const now = `${Date.now()}000000`;
  const span = {
    ...{ traceId, parentSpanId, spanId: randomBytes(8).toString('hex'), name: 'llm_request', kind: 2 },
    ...{ startTimeUnixNano: now, endTimeUnixNano: now },
  };
  const resource = { attributes: [{ key: 'service.name', value: { stringValue: 'engine' } }] };
  const body = { resourceSpans: [{ resource, scopeSpans: [{ spans: [span] }] }] };
  const headers = { 'content-type': 'application/json' };
  await fetch(`${otlpUrl}/v1/traces`, { method: 'POST', headers, body: JSON.stringify(body) });
}
