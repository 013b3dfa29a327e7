import type { DescMethod, DescService } from '@bufbuild/protobuf';
import { AuthService } from '../../../gen/mesh/auth/v1/auth_service_pb.ts';
import { InferenceService } from '../../../gen/mesh/inference/v1/inference_service_pb.ts';
import { QuotaService } from '../../../gen/mesh/quota/v1/quota_service_pb.ts';
import { RegistryService } from '../../../gen/mesh/router/v1/registry_service_pb.ts';
import { RouterService } from '../../../gen/mesh/router/v1/router_service_pb.ts';
import { TasksService } from '../../../gen/mesh/tasks/v1/tasks_service_pb.ts';
import { type AuthorizationTable, methodName } from '../interceptors/access.ts';
import type { Authorizer } from '../interceptors/authorize.ts';
import { certifiedRolesKey } from '../interceptors/certified-roles.ts';
import { type Destination, forwardMethods, refuseMethods } from './forward.ts';
import { TO_NODE_HEADER } from './mesh-headers.ts';
import type { Peers } from './peers.ts';
import { ROLES, type Role } from './roles.ts';
import { type Routes, withoutMethods } from './routes.ts';

/** The services of each role, as the public port serves them. */
export const SERVICES_OF_ROLE: Readonly<Record<Role, readonly DescService[]>> = {
  auth: [AuthService],
  quota: [QuotaService],
  router: [RouterService, RegistryService],
  inference: [InferenceService],
  tasks: [TasksService],
  facade: [],
};

/** What the routes of a port are made of. */
export interface ListenedRoutesOptions {
  /** What runs here. */
  readonly roles: ReadonlySet<Role>;
  readonly local: ReadonlyMap<Role, readonly Routes[]>;
  readonly peers: Peers;
  readonly authorizer: Authorizer;
  readonly table: AuthorizationTable;
}

/** What the port of a process answers: its own services, and on a public port or a router's those of others for callers. */
export function listenedRoutes(options: ListenedRoutesOptions): Routes[] {
  const { roles, local, table } = options;
  const isForCallers = (method: DescMethod): boolean => table.get(methodName(method))?.kind !== 'peer';
  // What callers ask of nodes is answered for all of them.
  const fleetMethods = InferenceService.methods.filter(isForCallers);
  const routes = [...local.values()].flat();
  if (!roles.has('facade') && !roles.has('router')) return routes;
  const ofOneNode = routes.map((route) => withoutMethods(route, (method) => fleetMethods.includes(method)));
  const forFleet = fleetRoutes(options, fleetMethods);
  if (!roles.has('facade')) return [...ofOneNode, forFleet];
  const elsewhere = ROLES.filter((role) => !local.has(role));
  const forwarded = elsewhere.map((role) => forwardedRoutes(options.peers, role, isForCallers, fleetMethods));
  return [...ofOneNode, forFleet, ...forwarded];
}

/** What concerns all nodes goes to the router, which asks each; the node of this process answers when a router asks it. */
function fleetRoutes({ local, peers, authorizer }: ListenedRoutesOptions, fleetMethods: readonly DescMethod[]): Routes {
  const fleet = peers.transport('router');
  const here = peers.transport('inference');
  const destination: Destination = ({ requestHeader, values }) => {
    const isForNode = local.has('inference') && requestHeader.has(TO_NODE_HEADER);
    return isForNode && authorizer.isFromPeer(requestHeader, values.get(certifiedRolesKey)) ? here : fleet;
  };
  return (router) => forwardMethods(router, fleetMethods, destination);
}

/** The public port answers for all roles: what callers may call and lives elsewhere is passed on. */
function forwardedRoutes(
  peers: Peers,
  role: Role,
  isForCallers: (method: DescMethod) => boolean,
  fleetMethods: readonly DescMethod[],
): Routes {
  const methods = SERVICES_OF_ROLE[role].flatMap((service) => service.methods);
  const transport = peers.transport(role);
  return (router) => {
    const passedOn = methods.filter((method) => isForCallers(method) && !fleetMethods.includes(method));
    forwardMethods(router, passedOn, () => transport);
    refuseMethods(
      router,
      methods.filter((method) => !isForCallers(method)),
    );
  };
}
