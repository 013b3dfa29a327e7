import type { DescService } from '@bufbuild/protobuf';
import type { Client, Interceptor } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-node';
import { Health } from '../../gen/grpc/health/v1/health_pb.ts';
import { AuthService } from '../../gen/mesh/auth/v1/auth_service_pb.ts';
import { InferenceService } from '../../gen/mesh/inference/v1/inference_service_pb.ts';
import { QuotaService } from '../../gen/mesh/quota/v1/quota_service_pb.ts';
import { RegistryService } from '../../gen/mesh/router/v1/registry_service_pb.ts';
import { RouterService } from '../../gen/mesh/router/v1/router_service_pb.ts';
import { TasksService } from '../../gen/mesh/tasks/v1/tasks_service_pb.ts';
import { createMeshClient } from '../../services/shared/transport/client.ts';
import { CLIENT_LIMITS } from '../../services/shared/transport/limits.ts';

/** The services of a mesh, as a caller sees them. */
export interface Clients {
  readonly auth: Client<typeof AuthService>;
  readonly quota: Client<typeof QuotaService>;
  readonly router: Client<typeof RouterService>;
  readonly registry: Client<typeof RegistryService>;
  readonly inference: Client<typeof InferenceService>;
  readonly tasks: Client<typeof TasksService>;
  readonly health: Client<typeof Health>;
}

/** Calls the mesh at `url` with a key, by the Connect protocol over HTTP/1.1: that passes every proxy, and nothing here streams up. */
export function connect(url: string, key: string | undefined): Clients {
  const addKey: Interceptor = (next) => (request) => {
    if (key !== undefined) request.header.set('authorization', `Bearer ${key}`);
    return next(request);
  };
  const transport = createConnectTransport({
    ...CLIENT_LIMITS,
    baseUrl: url,
    httpVersion: '1.1',
    interceptors: [addKey],
  });
  const client = <S extends DescService>(service: S): Client<S> => createMeshClient(service, transport);
  return {
    auth: client(AuthService),
    quota: client(QuotaService),
    router: client(RouterService),
    registry: client(RegistryService),
    inference: client(InferenceService),
    tasks: client(TasksService),
    health: client(Health),
  };
}
