import type { DescService } from '@bufbuild/protobuf';
import type { Client, Transport } from '@connectrpc/connect';
import type { Logger } from 'pino';
import { RouterService } from '../../../gen/mesh/router/v1/router_service_pb.ts';
import { asMeshError } from '../errors/connect-error.ts';
import { MeshError } from '../errors/mesh-error.ts';
import type { Authorizer } from '../interceptors/authorize.ts';
import type { Vouching } from '../interceptors/on-behalf-of.ts';
import { traceCalls } from '../interceptors/trace-calls.ts';
import { createMeshClient } from './client.ts';
import type { Generate } from './generate.ts';
import { createLocalTransport } from './local-transport.ts';
import type { MeshTls } from './mesh-tls.ts';
import { createRemoteTransport } from './remote-transport.ts';
import { isKeeper, type Role } from './roles.ts';
import type { Routes } from './routes.ts';
import { askedGeneration } from './rpc-generation.ts';
import { tracedGenerate } from './traced-generate.ts';
import type { TrunkTarget } from './trunk/trunk-channel.ts';
import { createTrunkClient } from './trunk/trunk-client.ts';

/** What peers are found by. */
export interface PeersOptions {
  /** Routes of the roles that run here. May still be filled after createPeers. */
  readonly local: ReadonlyMap<Role, readonly Routes[]>;
  /** Addresses of the others, e.g. "http://auth:7001". */
  readonly remote: ReadonlyMap<Role, string>;
  readonly meshToken: string | undefined;
  /** How this process and the others prove themselves. Unset: by the token. */
  readonly meshTls?: MeshTls | undefined;
  readonly authorizer: Authorizer;
  /** Signs for callers whose credential this process does not hold. Unset: it acts for nobody. */
  readonly vouching?: Pick<Vouching, 'sign'> | undefined;
  readonly log: Logger;
}

/** The other roles, wherever they run. */
export interface Peers {
  /** Looked up at the first call, so that roles may start in any order. A call to an unknown role is PEER_UNAVAILABLE. */
  transport(role: Role): Transport;
  client<T extends DescService>(role: Role, service: T): Client<T>;
  /** The seam to a router in another process, over a trunk. Without one its calls fail with PEER_UNAVAILABLE. */
  readonly routerGenerate: Generate;
  /** Ends the connections. */
  close(): void;
}

/** Makes the directory of peers. */
export function createPeers(options: PeersOptions): Peers {
  const transports = new Map<Role, Transport>();
  const remotes: { close(): void }[] = [];
  let toRouter: Generate | undefined;

  function find(role: Role): Transport {
    const known = transports.get(role);
    if (known) return known;
    const made = make(role);
    transports.set(role, made);
    return made;
  }

  function make(role: Role): Transport {
    const { authorizer, log } = options;
    const routes = options.local.get(role);
    if (routes) return createLocalTransport(routes, { authorizer, log, interceptors: traceCalls(undefined) });
    const url = addressOf(role);
    const remote = createRemoteTransport(url, {
      interceptors: traceCalls(url),
      comesBack: isKeeper(role),
      ...proofFor(role),
    });
    remotes.push(remote);
    return remote;
  }

  function addressOf(role: Role): string {
    const url = options.remote.get(role);
    if (url) return url;
    const name = `MESH_PEER_${role.toUpperCase()}`;
    throw new MeshError('PEER_UNAVAILABLE', `The ${role} service does not run here; set ${name} to where it runs.`, {
      metadata: { peer: role },
    });
  }

  function proofFor(role: Role): Pick<TrunkTarget, 'meshToken' | 'tls'> {
    const { log, meshToken, meshTls } = options;
    return { meshToken, tls: meshTls && { meshTls, role, log } };
  }

  function routerTrunk(): Generate {
    if (toRouter) return toRouter;
    const url = addressOf('router');
    const target = { url, method: RouterService.method.attach, ...proofFor('router') };
    const trunk = createTrunkClient(target, options.vouching);
    remotes.push(trunk);
    toRouter = tracedGenerate(trunk.generate, askedGeneration(RouterService.method.generate, url));
    return toRouter;
  }

  function transport(role: Role): Transport {
    return {
      unary: async (...call) => find(role).unary(...call),
      stream: async (...call) => find(role).stream(...call),
    };
  }

  return {
    transport,
    client: (role, service) => createMeshClient(service, transport(role)),
    routerGenerate(request, call, sink) {
      try {
        routerTrunk()(request, call, sink);
      } catch (error) {
        sink.fail(asMeshError(error));
      }
    },
    close() {
      for (const remote of remotes) remote.close();
    },
  };
}
