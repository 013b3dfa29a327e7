import { type JWTPayload, jwtVerify, SignJWT } from 'jose';
import { z } from 'zod';
import type { Scope } from '../../gen/mesh/auth/v1/principal_pb.ts';
import { SCOPE_NAMES, SCOPES, scopeNameOf } from './scope-names.ts';
import { TOKEN_LIFE_MS } from './signing-key-schedule.ts';
import type { SigningKey, SigningKeys } from './signing-keys.ts';

/** What a token says of its user. */
export interface AccessToken {
  /** Its own id, random. */
  readonly tokenId: string;
  readonly userId: string;
  readonly organizationId: string;
  readonly tier: string;
  readonly scopes: readonly Scope[];
  /** Unset: all. */
  readonly models?: readonly string[] | undefined;
  /** The login that it comes from; see TokenFamily. */
  readonly familyId: string;
  /** The state of the user's password at that login, in milliseconds since the epoch. */
  readonly passwordChangedAtMs: number;
  /** The key that signed it. */
  readonly signingKeyId: string;
  /** Milliseconds since the epoch. */
  readonly expiresAtMs: number;
}

const ISSUER = 'inference-mesh';
const AUDIENCE = 'inference-mesh';

/** That of RFC 9068; no other JWT has it. */
const TYPE = 'at+jwt';

/** A longer one is refused before anything of it is read. */
const MAX_BYTES = 8_192;

/** How far the clocks of two hosts may differ, in seconds: a token holds that much before it was made. */
const CLOCK_SKEW_SECONDS = 30;

/** The signature may be empty, as in a JWT that is not secured: that is refused as a token and is no key. */
const FORM = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*$/;

/** What else a header may say (jku, jwk, x5u, crit, …) would have the token choose how it is verified. */
const headerSchema = z.strictObject({
  alg: z.enum(['EdDSA', 'ES256']),
  kid: z.string().length(43),
  typ: z.literal(TYPE),
});

const name = z.string().min(1).max(256);
const seconds = z.int().nonnegative();

const payloadSchema = z.strictObject({
  sub: name,
  org: name,
  tier: z.string().min(1).max(64),
  /** Names, separated by spaces (RFC 8693). */
  scope: z
    .string()
    .transform((text) => (text === '' ? [] : text.split(' ')))
    .pipe(z.array(z.enum(SCOPE_NAMES))),
  models: z.array(name).optional(),
  iss: z.literal(ISSUER),
  aud: z.literal(AUDIENCE),
  iat: seconds,
  nbf: seconds,
  exp: seconds,
  jti: z.string().min(1).max(128),
  sid: z.string().min(1).max(128),
  /** AccessToken.passwordChangedAtMs. */
  pwd: seconds,
});

/** Whether a credential has the form of a JWT. */
export function hasTokenForm(credential: string): boolean {
  return FORM.test(credential);
}

/** Whether a signature could make it valid now; costs no look at the keys. */
export function canBeValid(token: string, nowMs: number): boolean {
  return keyIdOf(token, nowMs) !== undefined;
}

/** Makes a token that lives as long as any. */
export async function signAccessToken(
  key: SigningKey,
  token: Omit<AccessToken, 'expiresAtMs' | 'signingKeyId'>,
  nowMs: number,
): Promise<string> {
  const iat = Math.floor(nowMs / 1_000);
  const claims: z.input<typeof payloadSchema> & JWTPayload = {
    sub: token.userId,
    org: token.organizationId,
    tier: token.tier,
    scope: token.scopes.map(scopeNameOf).join(' '),
    ...(token.models ? { models: [...token.models] } : {}),
    iss: ISSUER,
    aud: AUDIENCE,
    iat,
    nbf: iat - CLOCK_SKEW_SECONDS,
    exp: iat + TOKEN_LIFE_MS / 1_000,
    jti: token.tokenId,
    sid: token.familyId,
    pwd: token.passwordChangedAtMs,
  };
  const header = { alg: key.algorithm, kid: key.kid, typ: TYPE };
  return await new SignJWT(claims).setProtectedHeader(header).sign(key.privateKey);
}

/**
 * What a token says, when it is one of ours and holds now; else undefined. What cannot be one costs no look at the keys.
 *
 * @throws MeshError STORE_UNAVAILABLE.
 */
export async function verifyAccessToken(
  token: string,
  keys: Pick<SigningKeys, 'find'>,
  nowMs: number,
): Promise<AccessToken | undefined> {
  const kid = keyIdOf(token, nowMs);
  const key = kid === undefined ? undefined : await keys.find(kid);
  if (!key) return undefined;
  try {
    const { payload } = await jwtVerify(token, key.publicKey, {
      algorithms: [key.algorithm],
      issuer: ISSUER,
      audience: AUDIENCE,
      typ: TYPE,
      currentDate: new Date(nowMs),
    });
    return tokenOf(payloadSchema.parse(payload), key.kid);
  } catch {
    // Which check failed is nobody's business.
    return undefined;
  }
}

/** Which key has to have signed it; undefined when no key can make it valid. */
function keyIdOf(token: string, nowMs: number): string | undefined {
  if (token.length > MAX_BYTES || !FORM.test(token)) return undefined;
  const [header = '', payload = '', signature = ''] = token.split('.');
  const isPlain = Buffer.from(signature, 'base64url').toString('base64url') === signature;
  if (signature === '' || !isPlain) return undefined;
  const { data: claims } = payloadSchema.safeParse(plainJson(payload));
  if (!claims || claims.exp * 1_000 <= nowMs || claims.nbf * 1_000 > nowMs) return undefined;
  return headerSchema.safeParse(plainJson(header)).data?.kid;
}

/** A part as we write it. Another writing of the same, such as a name that is there twice, is not ours: undefined. */
function plainJson(part: string): unknown {
  const bytes = Buffer.from(part, 'base64url');
  const text = bytes.toString();
  try {
    const value: unknown = JSON.parse(text);
    return bytes.toString('base64url') === part && JSON.stringify(value) === text ? value : undefined;
  } catch {
    return undefined;
  }
}

function tokenOf(claims: z.output<typeof payloadSchema>, signingKeyId: string): AccessToken {
  return {
    tokenId: claims.jti,
    userId: claims.sub,
    organizationId: claims.org,
    tier: claims.tier,
    scopes: claims.scope.map((scope) => SCOPES[scope]),
    models: claims.models,
    familyId: claims.sid,
    passwordChangedAtMs: claims.pwd,
    signingKeyId,
    expiresAtMs: claims.exp * 1_000,
  };
}
