import { randomBytes } from 'node:crypto';
import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { AuthService } from '../../gen/mesh/auth/v1/auth_service_pb.ts';
import { type Arrangement, startMesh, type TestMesh } from '../harness/mesh.ts';
import { startTracedEngine, type TracedEngine } from './traced-engine.ts';

/** A mesh and its engine, all of whose processes record traces. */
export interface TracedMesh {
  readonly mesh: TestMesh;
  readonly engine: TracedEngine;
  /** A key that no process has seen. */
  newKey(): Promise<string>;
  stop(): Promise<void>;
}

/** Spans are sent at once, and engines answer with this text. */
export async function startTracedMesh(
  arrangement: Arrangement,
  { endpoint, protocol, answer, env = {} }: TracedMeshOptions,
): Promise<TracedMesh> {
  const engine = await startTracedEngine(endpoint, { tokens: 4, texts: [answer] });
  const models = [{ name: 'fake', engine: 'openai', base_url: engine.baseUrl, required: true }];
  const mesh = await startMesh(arrangement, {
    args: ['--model', 'none'],
    env: { OTEL_EXPORTER_OTLP_PROTOCOL: protocol, OTEL_BSP_SCHEDULE_DELAY: '100', ...env },
    config: {
      observability: { traces_endpoint: endpoint },
      inference: { devices: 'none', models },
    },
  }).catch(async (error: unknown) => {
    await engine.stop();
    throw error;
  });
  const headers = { authorization: `Bearer ${mesh.adminKey}` };
  const auth = createClient(AuthService, createGrpcTransport({ baseUrl: mesh.url }));
  return {
    mesh,
    engine,
    newKey: async () => (await auth.createApiKey({ tier: 'premium' }, { headers })).secret,
    async stop() {
      await mesh.stop();
      await engine.stop();
    },
  };
}

/** What differs between meshes that record traces. */
export interface TracedMeshOptions {
  /** Where spans go, by OTLP. */
  readonly endpoint: string;
  readonly protocol: 'http/json' | 'http/protobuf';
  readonly answer: string;
  readonly env?: Record<string, string>;
}

/** A trace that somebody outside began. `flags`: "01" where it is recorded. */
export function newTrace(flags: '00' | '01' = '01'): { readonly traceId: string; readonly traceparent: string } {
  const traceId = randomBytes(16).toString('hex');
  return { traceId, traceparent: `00-${traceId}-${randomBytes(8).toString('hex')}-${flags}` };
}

/** Posts a body as a caller and reads the answer to its end. */
export async function post(url: string, key: string, body: object, headers: Record<string, string>): Promise<string> {
  const answer = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${key}`, ...headers },
    body: JSON.stringify(body),
  });
  return await answer.text();
}
