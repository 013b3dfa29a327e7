import { create } from '@bufbuild/protobuf';
import { durationFromMs, timestampFromMs } from '@bufbuild/protobuf/wkt';
import type { MethodImpl } from '@connectrpc/connect';
import {
  type AuthService,
  GetJwksResponseSchema,
  LoginResponseSchema,
  RefreshTokenResponseSchema,
  RotateSigningKeyResponseSchema,
} from '../../../gen/mesh/auth/v1/auth_service_pb.ts';
import { invalidField } from '../../shared/errors/mesh-error.ts';
import { clientIpKey } from '../../shared/interceptors/client-ip.ts';
import type { AuthContext } from '../context.ts';
import type { TokenPair } from '../token-service.ts';

/** Exchanges a password for tokens. */
export function login(context: AuthContext): MethodImpl<typeof AuthService.method.login> {
  return async ({ username, password }, call) => {
    const pair = await context.tokens.login(username, password, call.values.get(clientIpKey) ?? '');
    return create(LoginResponseSchema, describe(pair));
  };
}

/** Exchanges a refresh token for new tokens. */
export function refreshToken(context: AuthContext): MethodImpl<typeof AuthService.method.refreshToken> {
  return async (request) =>
    create(RefreshTokenResponseSchema, describe(await context.tokens.refresh(request.refreshToken)));
}

/** The public keys that verify tokens. */
export function getJwks(context: AuthContext): MethodImpl<typeof AuthService.method.getJwks> {
  return async () => create(GetJwksResponseSchema, { jwks: await context.signingKeys.jwks() });
}

/** Makes the next signing key, or replaces leaked ones. */
export function rotateSigningKey({
  signingKeys,
}: Pick<AuthContext, 'signingKeys'>): MethodImpl<typeof AuthService.method.rotateSigningKey> {
  return async ({ leaked, signingKeyId, cutRunningStreams }) => {
    // Whoever forgot `leaked` must not believe that a key has ended.
    if (!leaked && signingKeyId) throw invalidField('signing_key_id', 'goes with leaked only');
    if (!leaked && cutRunningStreams) throw invalidField('cut_running_streams', 'goes with leaked only');
    const next = leaked ? await signingKeys.replaceLeaked(signingKeyId, cutRunningStreams) : await signingKeys.rotate();
    const { kid, signsFromMs, isTold } = next;
    return create(RotateSigningKeyResponseSchema, {
      signingKeyId: kid,
      signsFrom: timestampFromMs(signsFromMs),
      pushPending: !isTold,
    });
  };
}

function describe({ accessToken, expiresInMs, refreshToken }: TokenPair) {
  return { accessToken, expiresIn: durationFromMs(expiresInMs), refreshToken };
}
