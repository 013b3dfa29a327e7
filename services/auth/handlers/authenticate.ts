import { create } from '@bufbuild/protobuf';
import { durationFromMs } from '@bufbuild/protobuf/wkt';
import type { MethodImpl } from '@connectrpc/connect';
import { AuthenticateResponseSchema, type AuthService } from '../../../gen/mesh/auth/v1/auth_service_pb.ts';
import { invalidField } from '../../shared/errors/mesh-error.ts';
import type { AuthContext } from '../context.ts';

/** Who presents a credential, or whether somebody who presented one before still counts. */
export function authenticate(context: AuthContext): MethodImpl<typeof AuthService.method.authenticate> {
  return async ({ credential, principal: before, ...origin }) => {
    if (before && credential) throw invalidField('principal', 'stands beside a credential');
    const { principal, cacheForMs } = before
      ? await context.revalidate(before, origin.clientIp)
      : await context.authenticate(credential, origin);
    return create(AuthenticateResponseSchema, {
      principal,
      ...(cacheForMs > 0 ? { cacheFor: durationFromMs(cacheForMs) } : {}),
    });
  };
}
