import { create } from '@bufbuild/protobuf';
import { durationFromMs } from '@bufbuild/protobuf/wkt';
import type { MethodImpl } from '@connectrpc/connect';
import { AuthenticateResponseSchema, type AuthService } from '../../../gen/mesh/auth/v1/auth_service_pb.ts';
import type { AuthContext } from '../context.ts';

/** Who presents a credential. */
export function authenticate(context: AuthContext): MethodImpl<typeof AuthService.method.authenticate> {
  return async ({ credential, ...origin }) => {
    const { principal, cacheForMs } = await context.authenticate(credential, origin);
    return create(AuthenticateResponseSchema, {
      principal,
      ...(cacheForMs > 0 ? { cacheFor: durationFromMs(cacheForMs) } : {}),
    });
  };
}
