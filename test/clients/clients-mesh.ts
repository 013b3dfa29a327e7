import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { AuthService } from '../../gen/mesh/auth/v1/auth_service_pb.ts';
import { type FakeEngine, startFakeEngine } from '../engines/fake-engine.ts';
import { createAuthority, writeMeshTls } from '../harness/certificates.ts';
import { startMesh, type TestMesh } from '../harness/mesh.ts';
import { type PingCounter, startPingCounter } from './ping-counter.ts';

/** The model that clients see. */
export const MODEL = 'org/clients-1';

/** A mesh for clients: a fake engine behind it, plain and TLS on its port, and a way to it that reads along. */
export interface ClientsMesh {
  readonly mesh: TestMesh;
  readonly engine: FakeEngine;
  /** E.g. "127.0.0.1:43117". */
  readonly address: string;
  /** The same by the name that its certificate has. */
  readonly namedAddress: string;
  /** The file of the certificate's authority. */
  readonly ca: string;
  /** A way to the port. */
  readonly pings: PingCounter;
  /** A key without limits. */
  readonly key: string;
  /** A new key that may ask once a minute. */
  onceKey(): Promise<string>;
  stop(): Promise<void>;
}

/** Starts one in one process. */
export async function startClientsMesh(): Promise<ClientsMesh> {
  const directory = mkdtempSync(join(tmpdir(), 'mesh-clients-'));
  const authority = createAuthority('clients', 'p256');
  const files = writeMeshTls(directory, 'public', { ...authority.issue({ names: ['localhost'] }), ca: authority.ca });
  const { ca, ...tls } = files;
  const engine = await startFakeEngine({ models: [MODEL] });
  const models = [{ name: 'clients', engine: 'openai', base_url: engine.baseUrl, model: MODEL, required: true }];
  const config = { server: { tls }, quota: { tiers: { once: { requests_per_minute: 1 } } }, inference: { models } };
  const clean = async () => {
    await engine.stop();
    rmSync(directory, { recursive: true });
  };
  try {
    const mesh = await startMesh('one process', { config });
    const port = Number(new URL(mesh.url).port);
    const pings = await startPingCounter(port);
    const auth = createClient(AuthService, createGrpcTransport({ baseUrl: mesh.url }));
    return {
      mesh,
      // Whatever it is to do, it goes on telling that it has the model.
      engine: { ...engine, script: (script) => engine.script({ models: [MODEL], ...script }) },
      address: `127.0.0.1:${port}`,
      namedAddress: `localhost:${port}`,
      ca,
      pings,
      key: mesh.adminKey,
      async onceKey() {
        const headers = { authorization: `Bearer ${mesh.adminKey}` };
        return (await auth.createApiKey({ name: 'once', tier: 'once' }, { headers })).secret;
      },
      async stop() {
        await pings.close();
        await mesh.stop();
        await clean();
      },
    };
  } catch (error) {
    await clean();
    throw error;
  }
}
