import { create } from '@bufbuild/protobuf';
import { durationMs, timestampFromMs, timestampMs } from '@bufbuild/protobuf/wkt';
import type { MethodImpl } from '@connectrpc/connect';
import {
  type ApiKey,
  ApiKeySchema,
  type AuthService,
  CreateApiKeyResponseSchema,
  GenerateApiKeyResponseSchema,
  ListApiKeysResponseSchema,
  RevokeApiKeyResponseSchema,
  RotateApiKeyResponseSchema,
} from '../../../gen/mesh/auth/v1/auth_service_pb.ts';
import { clientIpKey } from '../../shared/interceptors/client-ip.ts';
import { credentialOf } from '../../shared/interceptors/credential.ts';
import { principalOf } from '../../shared/interceptors/principal.ts';
import type { AuthContext } from '../context.ts';
import type { KeyRecord } from '../store/key-store.ts';

/** Makes a key and shows it once. */
export function createApiKey(context: AuthContext): MethodImpl<typeof AuthService.method.createApiKey> {
  return async (request, call) => {
    const { name, userId, organizationId, tier, scopes, models, allowedIpRanges, expiresAt } = request;
    const expiresAtMs = expiresAt && timestampMs(expiresAt);
    const draft = { name, userId, organizationId, tier, scopes, models, allowedIpRanges, expiresAtMs };
    const { record, secret } = await context.keys.create(draft, principalOf(call));
    return create(CreateApiKeyResponseSchema, { apiKey: describe(record), secret });
  };
}

/** Makes a key for whoever is named. Open to all in the authorisation table, so the caller is looked up here. */
export function generateApiKey(context: AuthContext): MethodImpl<typeof AuthService.method.generateApiKey> {
  return async ({ username }, { requestHeader, values }) => {
    const clientIp = values.get(clientIpKey) ?? '';
    const credential = credentialOf(requestHeader);
    const caller = credential === undefined ? undefined : await context.authenticate(credential, { clientIp });
    const { record, secret } = await context.register(username, caller?.principal, clientIp);
    return create(GenerateApiKeyResponseSchema, { apiKey: describe(record), secret });
  };
}

/** Lists keys, newest first. */
export function listApiKeys(context: AuthContext): MethodImpl<typeof AuthService.method.listApiKeys> {
  return async ({ organizationId, pageSize, pageToken }, call) => {
    const query = { organizationId, limit: pageSize, after: pageToken };
    const { records, next } = await context.keys.list(query, principalOf(call));
    return create(ListApiKeysResponseSchema, { apiKeys: records.map(describe), nextPageToken: next ?? '' });
  };
}

/** Ends a key. */
export function revokeApiKey(context: AuthContext): MethodImpl<typeof AuthService.method.revokeApiKey> {
  return async ({ keyId, cutRunningStreams }, call) => {
    const { record, isTold } = await context.lifecycle.revoke(keyId, cutRunningStreams, principalOf(call));
    return create(RevokeApiKeyResponseSchema, { apiKey: describe(record), pushPending: !isTold });
  };
}

/** Gives a key a new secret and shows it once. */
export function rotateApiKey(context: AuthContext): MethodImpl<typeof AuthService.method.rotateApiKey> {
  return async ({ keyId, grace }, call) => {
    const graceMs = grace && durationMs(grace);
    const { record, secret, isTold } = await context.lifecycle.rotate(keyId, graceMs, principalOf(call));
    return create(RotateApiKeyResponseSchema, { apiKey: describe(record), secret, pushPending: !isTold });
  };
}

function describe(record: KeyRecord): ApiKey {
  const { keyId, name, userId, organizationId, tier, scopes, models, allowedIpRanges } = record;
  return create(ApiKeySchema, {
    ...{ keyId, name, userId, organizationId, tier },
    scopes: [...scopes],
    models: [...models],
    allowedIpRanges: [...allowedIpRanges],
    createdAt: timestampFromMs(record.createdAtMs),
    ...time('expiresAt', record.expiresAtMs),
    ...time('revokedAt', record.revokedAtMs),
    ...time('lastUsedAt', record.lastUsedAtMs),
  });
}

function time<Name extends string>(name: Name, ms: number | undefined) {
  return ms === undefined ? {} : { [name]: timestampFromMs(ms) };
}
