import { create, type MessageInitShape } from '@bufbuild/protobuf';
import type { Client, ServiceImpl } from '@connectrpc/connect';
import { pino } from 'pino';
import { CredentialKind, PrincipalSchema, Scope } from '../../../gen/mesh/auth/v1/principal_pb.ts';
import type { EngineSchema } from '../../../gen/mesh/inference/v1/engine_pb.ts';
import { InferenceService } from '../../../gen/mesh/inference/v1/inference_service_pb.ts';
import { RegisterRequestSchema } from '../../../gen/mesh/router/v1/registry_service_pb.ts';
import { MeshError } from '../../shared/errors/mesh-error.ts';
import { createHealth } from '../../shared/grpc/health.ts';
import { type Access, methodName } from '../../shared/interceptors/access.ts';
import { createAuthorizer } from '../../shared/interceptors/authorize.ts';
import { createMeshClient } from '../../shared/transport/client.ts';
import { type Listener, startListener } from '../../shared/transport/listener.ts';
import { createLocalTransport } from '../../shared/transport/local-transport.ts';
import { createRemoteNodes } from '../../shared/transport/remote-nodes.ts';
import { fleetRoutes } from '../routes.ts';
import { EngineLoads } from '../select/engine-loads.ts';
import { Fleet } from './fleet.ts';
import { Registry } from './registry.ts';

/** An admin, and somebody who may only read. */
export const ADMIN = { authorization: 'Bearer admin' };
export const READER = { authorization: 'Bearer reader' };

const TOKEN = 'mesh-secret';
const log = pino({ level: 'silent' });

type EngineInit = MessageInitShape<typeof EngineSchema>;
type NodeImpl = Partial<ServiceImpl<typeof InferenceService>>;

/** Admits the two callers to all methods, and peers. */
function testAuthorizer() {
  const scopes = new Map([
    ['admin', Scope.ADMIN],
    ['reader', Scope.MODELS_READ],
  ]);
  const read: Access = { kind: 'scope', scope: Scope.MODELS_READ };
  return createAuthorizer({
    table: new Map(InferenceService.methods.map((method) => [methodName(method), read])),
    meshToken: TOKEN,
    async authenticate(credential) {
      const scope = scopes.get(credential);
      if (scope === undefined) throw new MeshError('CREDENTIAL_INVALID', 'Invalid API key');
      return create(PrincipalSchema, { keyId: credential, kind: CredentialKind.API_KEY, scopes: [scope] });
    },
  });
}

/** A router's view of nodes that are real servers on sockets of their own. */
export interface TestFleet {
  readonly registry: Registry;
  /** What callers of the mesh call. */
  readonly client: Client<typeof InferenceService>;
  /** Starts the server of a node whose methods are scripted, and reports it. */
  node(name: string, impl: NodeImpl, engines?: readonly EngineInit[]): Promise<void>;
  /** Reports a node again, as it is now; without an epoch from the same start. */
  report(name: string, engines: readonly EngineInit[], change?: { draining?: boolean; epoch?: bigint }): void;
  /** Takes a node's server away without a word. */
  cut(name: string): Promise<void>;
  /** The node's stream to the router breaks. */
  lose(name: string): void;
  close(): Promise<void>;
}

/** Starts a fleet without nodes. */
export function startFleet(): TestFleet {
  const registry = new Registry({ aliases: {} }, new EngineLoads());
  const remote = createRemoteNodes({ meshToken: TOKEN, log });
  const listeners = new Map<string, Listener>();
  const reports = new Map<string, Parameters<Registry['lose']>[0]>();
  const authorizer = testAuthorizer();
  const fleet = new Fleet(registry, (address) => remote.clientAt(address));
  const transport = createLocalTransport([fleetRoutes({ fleet })], { authorizer, log });

  const report: TestFleet['report'] = (
    node,
    engines,
    { draining = false, epoch = reports.get(node)?.epoch ?? 1n } = {},
  ) => {
    const address = listeners.get(node)?.url ?? '';
    const init = { node, epoch, address, draining, engines: [...engines] };
    const message = create(RegisterRequestSchema, init);
    reports.set(node, message);
    registry.report(message, { epochMs: Date.now(), monotonicMs: performance.now() });
  };

  return {
    registry,
    client: createMeshClient(InferenceService, transport),
    report,
    async node(name, impl, engines = []) {
      const listener = await startListener({
        host: '127.0.0.1',
        port: 0,
        routes: [(router) => router.service(InferenceService, impl)],
        authorizer,
        health: createHealth(),
        log,
        isForPeers: true,
      });
      listeners.set(name, listener);
      report(name, engines);
    },
    async cut(name) {
      await listeners.get(name)?.close();
    },
    lose(name) {
      const last = reports.get(name);
      if (last) registry.lose(last, performance.now());
    },
    async close() {
      remote.close();
      await Promise.all([...listeners.values()].map((listener) => listener.close()));
    },
  };
}
