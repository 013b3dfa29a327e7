import { create } from '@bufbuild/protobuf';
import { type Client, createClient, createRouterTransport } from '@connectrpc/connect';
import { AuthService } from '../../gen/mesh/auth/v1/auth_service_pb.ts';
import { type Principal, PrincipalSchema, Scope } from '../../gen/mesh/auth/v1/principal_pb.ts';
import { fromConnectError, toConnectError } from '../shared/errors/connect-error.ts';
import { principalKey } from '../shared/interceptors/principal.ts';
import type { AuthContext } from './context.ts';
import { authRoutes } from './routes.ts';

/** The service as `caller` sees it, without the listener in between. */
export function clientAs(context: AuthContext, caller: Principal): Client<typeof AuthService> {
  const transport = createRouterTransport(authRoutes(context), {
    router: {
      interceptors: [
        (next) => (request) => {
          request.contextValues.set(principalKey, caller);
          return next(request).catch((error: unknown) => Promise.reject(toConnectError(error)));
        },
      ],
    },
  });
  return createClient(AuthService, transport);
}

/** How a call ended: "OK" or the reason of its error. */
export async function reasonOf(call: Promise<unknown>): Promise<string> {
  return await call.then(
    () => 'OK',
    (error: unknown) => fromConnectError(error).reason,
  );
}

/** What a test says of a caller. */
export type Changes = Omit<Partial<Principal>, '$typeName' | '$unknown'>;

/** A caller who may make keys. */
export function maker(changes: Changes = {}): Principal {
  return create(PrincipalSchema, {
    ...{ keyId: 'm', userId: 'maker', organizationId: 'acme', tier: 'standard' },
    scopes: [Scope.GENERATE, Scope.KEYS_MANAGE],
    ...changes,
  });
}
