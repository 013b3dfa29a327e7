import type { ConnectRouter } from '@connectrpc/connect';
import { AuthService } from '../../gen/mesh/auth/v1/auth_service_pb.ts';
import type { AuthContext } from './context.ts';
import { createApiKey, generateApiKey, listApiKeys, revokeApiKey, rotateApiKey } from './handlers/api-keys.ts';
import { authenticate } from './handlers/authenticate.ts';
import { createOrganization, listOrganizations } from './handlers/organizations.ts';
import { getJwks, login, refreshToken, rotateSigningKey } from './handlers/tokens.ts';
import { createUser, disableUser, enableUser, listUsers, setPassword } from './handlers/users.ts';
import { watchRevocations } from './handlers/watch-revocations.ts';

/** The service of auth. */
export function authRoutes(context: AuthContext): (router: ConnectRouter) => void {
  return (router) => {
    router.service(AuthService, {
      login: login(context),
      refreshToken: refreshToken(context),
      authenticate: authenticate(context),
      createApiKey: createApiKey(context),
      generateApiKey: generateApiKey(context),
      listApiKeys: listApiKeys(context),
      revokeApiKey: revokeApiKey(context),
      rotateApiKey: rotateApiKey(context),
      watchRevocations: watchRevocations(context),
      createUser: createUser(context),
      setPassword: setPassword(context),
      disableUser: disableUser(context),
      enableUser: enableUser(context),
      listUsers: listUsers(context),
      createOrganization: createOrganization(context),
      listOrganizations: listOrganizations(context),
      getJwks: getJwks(context),
      rotateSigningKey: rotateSigningKey(context),
    });
  };
}
