import { create } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import type { MethodImpl } from '@connectrpc/connect';
import {
  type AuthService,
  CreateUserResponseSchema,
  DisableUserResponseSchema,
  EnableUserResponseSchema,
  ListUsersResponseSchema,
  SetPasswordResponseSchema,
  type User,
  UserSchema,
} from '../../../gen/mesh/auth/v1/auth_service_pb.ts';
import { clientIpKey } from '../../shared/interceptors/client-ip.ts';
import { principalOf } from '../../shared/interceptors/principal.ts';
import type { AuthContext } from '../context.ts';
import type { UserRecord } from '../store/user-store.ts';

/** Makes a user. */
export function createUser(context: AuthContext): MethodImpl<typeof AuthService.method.createUser> {
  return async ({ userId, password, organizationId, tier, scopes }) => {
    const user = await context.users.create({ userId, organizationId, tier, scopes }, password);
    return create(CreateUserResponseSchema, { user: describe(user) });
  };
}

/** Changes a password. */
export function setPassword(context: AuthContext): MethodImpl<typeof AuthService.method.setPassword> {
  return async ({ userId, currentPassword, newPassword }, call) => {
    const clientIp = call.values.get(clientIpKey) ?? '';
    const change = { userId, currentPassword, newPassword, clientIp };
    const isTold = await context.users.setPassword(change, principalOf(call));
    return create(SetPasswordResponseSchema, { pushPending: !isTold });
  };
}

/** Ends a user. */
export function disableUser(context: AuthContext): MethodImpl<typeof AuthService.method.disableUser> {
  return async ({ userId }) => {
    const { user, isTold } = await context.users.disable(userId);
    return create(DisableUserResponseSchema, { user: describe(user), pushPending: !isTold });
  };
}

/** Lets a disabled user in again. */
export function enableUser(context: AuthContext): MethodImpl<typeof AuthService.method.enableUser> {
  return async ({ userId }) => create(EnableUserResponseSchema, { user: describe(await context.users.enable(userId)) });
}

/** Lists users by name. */
export function listUsers(context: AuthContext): MethodImpl<typeof AuthService.method.listUsers> {
  return async ({ organizationId, pageSize, pageToken }) => {
    const { records, next } = await context.users.list({ organizationId, limit: pageSize, after: pageToken });
    return create(ListUsersResponseSchema, { users: records.map(describe), nextPageToken: next ?? '' });
  };
}

function describe({ userId, organizationId, tier, scopes, createdAtMs, disabledAtMs }: UserRecord): User {
  return create(UserSchema, {
    ...{ userId, organizationId, tier },
    scopes: [...scopes],
    // Those of the configuration file have no such time.
    ...(createdAtMs > 0 ? { createdAt: timestampFromMs(createdAtMs) } : {}),
    ...(disabledAtMs === undefined ? {} : { disabledAt: timestampFromMs(disabledAtMs) }),
  });
}
