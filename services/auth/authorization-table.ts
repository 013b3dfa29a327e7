import type { DescService } from '@bufbuild/protobuf';
import { Health } from '../../gen/grpc/health/v1/health_pb.ts';
import { ServerReflection } from '../../gen/grpc/reflection/v1/reflection_pb.ts';
import { ServerReflection as ServerReflectionV1Alpha } from '../../gen/grpc/reflection/v1alpha/reflection_pb.ts';
import { AuthService } from '../../gen/mesh/auth/v1/auth_service_pb.ts';
import { Scope } from '../../gen/mesh/auth/v1/principal_pb.ts';
import { InferenceService } from '../../gen/mesh/inference/v1/inference_service_pb.ts';
import { QuotaService } from '../../gen/mesh/quota/v1/quota_service_pb.ts';
import { RegistryService } from '../../gen/mesh/router/v1/registry_service_pb.ts';
import { RouterService } from '../../gen/mesh/router/v1/router_service_pb.ts';
import { TasksService } from '../../gen/mesh/tasks/v1/tasks_service_pb.ts';
import { type Access, type AuthorizationTable, methodName } from '../shared/interceptors/access.ts';
import { ROLES, type Role } from '../shared/transport/roles.ts';

const OPEN: Access = { kind: 'open' };
/** Every process verifies the callers of its own port. */
const VERIFIERS = peers(...ROLES);
const FOR_ROUTERS = peers('router');
/** Those that hold tokens, and those that count the submission of a task. */
const FOR_ADMISSION = peers('router', 'tasks');
const FOR_NODES = peers('inference');
/** The trunk of a facade, and of tasks, that run apart. */
const FOR_FRONT_DOOR = peers('facade', 'tasks');
const FRONT_DOOR: Access = { kind: 'front-door' };
const GENERATE = needs(Scope.GENERATE);
const MODELS_READ = needs(Scope.MODELS_READ);
const MODELS_MANAGE = needs(Scope.MODELS_MANAGE);
const KEYS_MANAGE = needs(Scope.KEYS_MANAGE);
const USAGE_READ = needs(Scope.USAGE_READ);
const ADMIN = needs(Scope.ADMIN);

/** One decision per method of a service; the compiler finds a method that is missing or misspelt. */
type Rules<S extends DescService> = { readonly [Method in keyof S['method']]: Access };

/** Who may call what, for every method of the mesh. What is not in it is refused. */
export const authorizationTable: AuthorizationTable = new Map([
  ...entries(AuthService, {
    login: OPEN,
    refreshToken: OPEN,
    authenticate: VERIFIERS,
    createApiKey: KEYS_MANAGE,
    // The handler asks for `admin`, unless the configuration opens registration.
    generateApiKey: OPEN,
    listApiKeys: KEYS_MANAGE,
    rotateApiKey: KEYS_MANAGE,
    revokeApiKey: KEYS_MANAGE,
    createUser: ADMIN,
    // One's own; the handler asks for `admin` for another's.
    setPassword: GENERATE,
    disableUser: ADMIN,
    enableUser: ADMIN,
    listUsers: ADMIN,
    createOrganization: ADMIN,
    listOrganizations: ADMIN,
    getJwks: { ...OPEN, peers: ['facade'] },
    rotateSigningKey: ADMIN,
    watchRevocations: VERIFIERS,
  }),
  ...entries(QuotaService, {
    reserve: FOR_ADMISSION,
    extend: FOR_ROUTERS,
    settle: FOR_ADMISSION,
    release: FOR_ADMISSION,
    // One's own; the handlers ask for `admin` for another's.
    getLimits: GENERATE,
    getUsage: USAGE_READ,
    setLimits: ADMIN,
    listReservations: ADMIN,
    explainLimits: GENERATE,
  }),
  ...entries(RouterService, {
    generate: FRONT_DOOR,
    attach: FOR_FRONT_DOOR,
    embed: GENERATE,
    tokenize: GENERATE,
    // The facade tells how the mesh is, to those who may not know which models there are.
    listModels: { ...GENERATE, peers: ['facade', 'tasks'] },
    explainRoute: MODELS_READ,
  }),
  ...entries(RegistryService, {
    register: FOR_NODES,
    listNodes: { ...MODELS_READ, peers: ['facade'] },
    drain: ADMIN,
  }),
  ...entries(InferenceService, {
    generate: FOR_ROUTERS,
    attach: FOR_ROUTERS,
    embed: FOR_ROUTERS,
    tokenize: FOR_ROUTERS,
    loadModel: MODELS_MANAGE,
    unloadModel: MODELS_MANAGE,
    listEngines: MODELS_READ,
    watchEngines: MODELS_READ,
    listDevices: MODELS_READ,
    explainPlacement: MODELS_READ,
    tailLogs: ADMIN,
  }),
  ...entries(TasksService, { submit: GENERATE, get: GENERATE, watch: GENERATE, cancel: GENERATE, list: GENERATE }),
  ...entries(Health, { check: OPEN, watch: OPEN, list: OPEN }),
  ...entries(ServerReflection, { serverReflectionInfo: OPEN }),
  ...entries(ServerReflectionV1Alpha, { serverReflectionInfo: OPEN }),
]);

function needs(scope: Scope): Access {
  return { kind: 'scope', scope };
}

function peers(...roles: Role[]): Access {
  return { kind: 'peer', peers: roles };
}

function entries<S extends DescService>(service: S, rules: Rules<S>): [string, Access][] {
  return service.methods.map((method) => [methodName(method), rules[method.localName as keyof Rules<S>]]);
}
