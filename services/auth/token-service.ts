import { randomBytes } from 'node:crypto';
import { MeshError } from '../shared/errors/mesh-error.ts';
import { type AccessToken, signAccessToken, verifyAccessToken } from './access-token.ts';
import type { VerifyLogin } from './login.ts';
import { createFamilyId, createRefreshToken, hashRefreshToken, parseRefreshToken } from './refresh-token.ts';
import type { RevocationDelivery } from './revocation-delivery.ts';
import { TOKEN_LIFE_MS } from './signing-key-schedule.ts';
import type { SigningKeys } from './signing-keys.ts';
import type { RefreshTokenStore, TokenFamily } from './store/refresh-token-store.ts';
import type { UserRecord } from './store/user-store.ts';
import type { UserDirectory } from './user-directory.ts';

/** What tokens are made with. */
export interface TokenServiceParts {
  readonly signingKeys: SigningKeys;
  readonly refreshTokens: RefreshTokenStore;
  readonly users: Pick<UserDirectory, 'find'>;
  readonly verifyLogin: VerifyLogin;
  readonly revocations: Pick<RevocationDelivery, 'tell'>;
  readonly pepper: Uint8Array;
  /** Refresh tokens that were made with them count, and are exchanged for one of the present pepper. */
  readonly olderPeppers: readonly Uint8Array[];
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

/** What a user gets. */
export interface TokenPair {
  readonly accessToken: string;
  /** How long the access token lives, in milliseconds. */
  readonly expiresInMs: number;
  readonly refreshToken: string;
}

/** Tokens of users. Every method may throw STORE_UNAVAILABLE. */
export interface TokenService {
  /** `clientIp` empty: unknown. @throws MeshError CREDENTIAL_INVALID, QUEUE_FULL. */
  login(username: string, password: string, clientIp: string): Promise<TokenPair>;
  /** Spends a refresh token; spending it twice ends its family. @throws MeshError CREDENTIAL_INVALID. */
  refresh(refreshToken: string): Promise<TokenPair>;
  /** What an access token says; undefined when it does not count. */
  verify(accessToken: string): Promise<AccessToken | undefined>;
  /** Whose token it was that was verified before, as long as its login and its signing key still count. */
  userOfLogin(token: Pick<AccessToken, 'familyId' | 'signingKeyId'>): Promise<UserRecord | undefined>;
}

/** How long a login can be renewed, in milliseconds; then the password is asked for again. */
const FAMILY_LIFE_MS = 30 * 86_400_000;

/** Builds it. */
export function createTokenService(parts: TokenServiceParts): TokenService {
  const { signingKeys, refreshTokens, users, pepper, olderPeppers, now } = parts;

  async function pair(user: UserRecord, familyId: string, refreshToken: string): Promise<TokenPair> {
    const { userId, organizationId, tier, scopes, models, passwordChangedAtMs } = user;
    const tokenId = randomBytes(16).toString('base64url');
    const token = { tokenId, familyId, userId, organizationId, tier, scopes, models, passwordChangedAtMs };
    const accessToken = await signAccessToken(await signingKeys.current(), token, now());
    return { accessToken, expiresInMs: TOKEN_LIFE_MS, refreshToken };
  }

  /** The user, as long as nothing has happened since the login. */
  async function userOf(login: Pick<TokenFamily, 'userId' | 'passwordChangedAtMs'>): Promise<UserRecord | undefined> {
    const user = await users.find(login.userId);
    if (!user || user.disabledAtMs !== undefined) return undefined;
    return user.passwordChangedAtMs === login.passwordChangedAtMs ? user : undefined;
  }

  return {
    async login(username, password, clientIp) {
      const user = await parts.verifyLogin(username, password, clientIp);
      const familyId = createFamilyId();
      const refreshToken = createRefreshToken(familyId, pepper);
      const { userId, passwordChangedAtMs } = user;
      const hash = hashRefreshToken(refreshToken, pepper);
      const expiresAtMs = now() + FAMILY_LIFE_MS;
      await refreshTokens.add({ familyId, userId, passwordChangedAtMs, expiresAtMs, hash }, now());
      return await pair(user, familyId, refreshToken);
    },
    async refresh(refreshToken) {
      const parsed = [pepper, ...olderPeppers]
        .map((each) => parseRefreshToken(refreshToken, each))
        .find((each) => each !== undefined);
      const family = parsed && (await refreshTokens.find(parsed.familyId, now()));
      if (!parsed || !family) throw invalidRefreshToken();
      const { familyId, userId } = family;
      const user = await userOf(family);
      if (!user) throw invalidRefreshToken();
      const next = createRefreshToken(familyId, pepper);
      if (!(await refreshTokens.rotate(familyId, parsed.hash, hashRefreshToken(next, pepper)))) {
        // One of the two who had it is a thief, and which one cannot be told.
        await refreshTokens.end(familyId);
        // Whoever verified an access token of the family looks again.
        await parts.revocations.tell({ kind: 'user', id: userId, cutRunningStreams: false });
        throw invalidRefreshToken();
      }
      return await pair(user, familyId, next);
    },
    async verify(accessToken) {
      const token = await verifyAccessToken(accessToken, signingKeys, now());
      if (!token) return undefined;
      const [user, family] = await Promise.all([userOf(token), refreshTokens.find(token.familyId, now())]);
      return user && family?.userId === user.userId ? token : undefined;
    },
    async userOfLogin({ familyId, signingKeyId }) {
      const [family, key] = await Promise.all([refreshTokens.find(familyId, now()), signingKeys.find(signingKeyId)]);
      return family && key && (await userOf(family));
    },
  };
}

function invalidRefreshToken(): MeshError {
  return new MeshError('CREDENTIAL_INVALID', 'Invalid refresh token. Log in again.');
}
