import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { type Client, createClient, createRouterTransport } from '@connectrpc/connect';
import { CredentialKind, type Principal, PrincipalSchema, Scope } from '../../gen/mesh/auth/v1/principal_pb.ts';
import { QuotaService } from '../../gen/mesh/quota/v1/quota_service_pb.ts';
import { fromConnectError, toConnectError } from '../shared/errors/connect-error.ts';
import type { MeshError } from '../shared/errors/mesh-error.ts';
import { principalKey } from '../shared/interceptors/principal.ts';
import type { QuotaContext } from './context.ts';
import { quotaRoutes } from './routes.ts';

/** The service as `caller` sees it, without the listener in between. */
export function clientAs(context: QuotaContext, caller: Principal): Client<typeof QuotaService> {
  const transport = createRouterTransport(quotaRoutes(context), {
    router: {
      interceptors: [
        (next) => (request) => {
          request.contextValues.set(principalKey, caller);
          return next(request).catch((error: unknown) => Promise.reject(toConnectError(error)));
        },
      ],
    },
  });
  return createClient(QuotaService, transport);
}

/** The error that a call ends with. */
export async function errorOf(call: Promise<unknown>): Promise<MeshError> {
  return fromConnectError(
    await call.then(
      () => {
        throw new Error('expected an error');
      },
      (error: unknown) => error,
    ),
  );
}

/** A caller with an API key. */
export function principal(
  tier: string,
  more: Omit<MessageInitShape<typeof PrincipalSchema>, '$typeName'> = {},
): Principal {
  return create(PrincipalSchema, {
    ...{ keyId: `key-${tier}`, tier, kind: CredentialKind.API_KEY, scopes: [Scope.GENERATE] },
    ...more,
  });
}
