import { createHmac, generateKeyPairSync, sign } from 'node:crypto';
import { exportJWK, SignJWT } from 'jose';
import { beforeEach, describe, expect, test } from 'vitest';
import { Scope } from '../../gen/mesh/auth/v1/principal_pb.ts';
import { canBeValid, signAccessToken, verifyAccessToken } from './access-token.ts';
import type { SigningKey, SigningKeys } from './signing-keys.ts';

const NOW_MS = Date.parse('2026-11-21T12:00:00Z');
const NOW = NOW_MS / 1_000;
const KID = 'k'.repeat(43);

function keyOf(algorithm: SigningKey['algorithm'], kid: string): SigningKey {
  const pair =
    algorithm === 'EdDSA' ? generateKeyPairSync('ed25519') : generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return { kid, algorithm, ...pair };
}

const ed = keyOf('EdDSA', KID);
const es = keyOf('ES256', 'e'.repeat(43));
const stranger = keyOf('EdDSA', KID);

let asked: string[];
const keys: Pick<SigningKeys, 'find'> = {
  async find(kid) {
    asked.push(kid);
    return [ed, es].find((key) => key.kid === kid);
  },
};

beforeEach(() => {
  asked = [];
});

const token = {
  ...{ tokenId: 'j', userId: 'ann', organizationId: 'acme', tier: 'premium', models: ['chat'] },
  ...{ scopes: [Scope.GENERATE, Scope.MODELS_READ], familyId: 'f', passwordChangedAtMs: 7 },
};

const HEADER = { alg: 'EdDSA', kid: KID, typ: 'at+jwt' };
const CLAIMS = {
  ...{ sub: 'ann', org: 'acme', tier: 'premium', scope: 'generate', iss: 'inference-mesh', aud: 'inference-mesh' },
  ...{ iat: NOW, nbf: NOW - 30, exp: NOW + 86_400, jti: 'j', sid: 'f', pwd: 7 },
};

function part(value: object | string): string {
  return Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');
}

function signatureOf(input: string): string {
  return sign(null, Buffer.from(input), ed.privateKey).toString('base64url');
}

/** A token with our true signature over whatever it says. */
async function signed(header: object | string, payload: object | string): Promise<string> {
  const input = `${part(header)}.${part(payload)}`;
  return `${input}.${signatureOf(input)}`;
}

function without(name: keyof typeof CLAIMS): object {
  return Object.fromEntries(Object.entries(CLAIMS).filter(([claim]) => claim !== name));
}

async function hmacToken(header: object, secret: string | Buffer): Promise<string> {
  const input = `${part(header)}.${part(CLAIMS)}`;
  return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`;
}

const publicPem = String(ed.publicKey.export({ format: 'pem', type: 'spki' }));

/** Name → how it is forged. */
const FORGED: Readonly<Record<string, () => Promise<string>>> = {
  'alg none without a signature': async () => `${part({ ...HEADER, alg: 'none' })}.${part(CLAIMS)}.`,
  'alg none with a signature': () => signed({ ...HEADER, alg: 'none' }, CLAIMS),
  'alg NONE in capitals': () => signed({ ...HEADER, alg: 'NONE' }, CLAIMS),
  'HS256 with our public key as PEM': () => hmacToken({ ...HEADER, alg: 'HS256' }, publicPem),
  'HS256 with our raw public key': async () =>
    hmacToken({ ...HEADER, alg: 'HS256' }, Buffer.from(String((await exportJWK(ed.publicKey)).x), 'base64url')),
  'HS256 with an empty secret': () => hmacToken({ ...HEADER, alg: 'HS256' }, ''),
  'HMAC under the name of our algorithm': () => hmacToken(HEADER, publicPem),
  'alg ES256 for a key of EdDSA': () => signed({ ...HEADER, alg: 'ES256' }, CLAIMS),
  'alg EdDSA for a key of ES256': async () =>
    new SignJWT(CLAIMS).setProtectedHeader({ ...HEADER, kid: es.kid }).sign(ed.privateKey),
  'alg RS256': () => signed({ ...HEADER, alg: 'RS256' }, CLAIMS),
  'alg Ed25519, another name of ours': () => signed({ ...HEADER, alg: 'Ed25519' }, CLAIMS),
  'no alg': () => signed({ kid: KID, typ: 'at+jwt' }, CLAIMS),
  'an empty signature': async () => `${part(HEADER)}.${part(CLAIMS)}.`,
  'a signature of zeros': async () => `${part(HEADER)}.${part(CLAIMS)}.${Buffer.alloc(64).toString('base64url')}`,
  'a signature that is cut': async () => (await signed(HEADER, CLAIMS)).slice(0, -4),
  'the signature of another payload': async () =>
    `${part(HEADER)}.${part({ ...CLAIMS, scope: 'admin' })}.${(await signed(HEADER, CLAIMS)).split('.')[2]}`,
  "a stranger's key under our id": async () => new SignJWT(CLAIMS).setProtectedHeader(HEADER).sign(stranger.privateKey),
  'an unknown kid': () => signed({ ...HEADER, kid: 'x'.repeat(43) }, CLAIMS),
  'no kid': () => signed({ alg: 'EdDSA', typ: 'at+jwt' }, CLAIMS),
  'a kid that is a path': () => signed({ ...HEADER, kid: '../../../dev/null' }, CLAIMS),
  'a kid that is no text': () => signed({ ...HEADER, kid: 1 }, CLAIMS),
  'a jwk in the header': async () =>
    new SignJWT(CLAIMS)
      .setProtectedHeader({ ...HEADER, jwk: await exportJWK(stranger.publicKey) })
      .sign(stranger.privateKey),
  'a jwk in the header, truly signed': async () => signed({ ...HEADER, jwk: await exportJWK(ed.publicKey) }, CLAIMS),
  'a jku': () => signed({ ...HEADER, jku: 'http://127.0.0.1/jwks.json' }, CLAIMS),
  'an x5u': () => signed({ ...HEADER, x5u: 'http://127.0.0.1/cert.pem' }, CLAIMS),
  'an x5c': () => signed({ ...HEADER, x5c: ['AAAA'] }, CLAIMS),
  'a crit': () => signed({ ...HEADER, crit: ['exp'] }, CLAIMS),
  'an unencoded payload (b64)': () => signed({ ...HEADER, b64: false, crit: ['b64'] }, CLAIMS),
  'typ JWT': () => signed({ ...HEADER, typ: 'JWT' }, CLAIMS),
  'no typ': () => signed({ alg: 'EdDSA', kid: KID }, CLAIMS),
  'another issuer': () => signed(HEADER, { ...CLAIMS, iss: 'elsewhere' }),
  'no issuer': () => signed(HEADER, without('iss')),
  'another audience': () => signed(HEADER, { ...CLAIMS, aud: 'elsewhere' }),
  'two audiences': () => signed(HEADER, { ...CLAIMS, aud: ['inference-mesh', 'elsewhere'] }),
  'no audience': () => signed(HEADER, without('aud')),
  'one that has expired': () => signed(HEADER, { ...CLAIMS, exp: NOW }),
  'no end': () => signed(HEADER, without('exp')),
  'an end that is text': () => signed(HEADER, { ...CLAIMS, exp: '9999999999' }),
  'an endless end': () => signed(HEADER, JSON.stringify(CLAIMS).replace(/"exp":\d+/, '"exp":1e999')),
  'one that does not hold yet': () => signed(HEADER, { ...CLAIMS, nbf: NOW + 1 }),
  'no nbf': () => signed(HEADER, without('nbf')),
  'no iat': () => signed(HEADER, without('iat')),
  'no id': () => signed(HEADER, without('jti')),
  'no user': () => signed(HEADER, without('sub')),
  'an unknown scope': () => signed(HEADER, { ...CLAIMS, scope: 'generate root' }),
  'a claim that is not ours': () => signed(HEADER, { ...CLAIMS, admin: true }),
  'a claim twice': () => signed(HEADER, JSON.stringify(CLAIMS).replace('{', '{"sub":"root",')),
  'a header twice': () => signed(JSON.stringify(HEADER).replace('{', '{"alg":"none",'), CLAIMS),
  'a claim under __proto__': () => signed(HEADER, JSON.stringify(CLAIMS).replace('{', '{"__proto__":{"x":1},')),
  'spaces in the JSON': () => signed(HEADER, JSON.stringify(CLAIMS, null, 1)),
  'a payload that is a list': () => signed(HEADER, '[]'),
  'a payload that is no JSON': () => signed(HEADER, 'sub=ann'),
  'a deep payload': () => signed(HEADER, `${'['.repeat(2_000)}${']'.repeat(2_000)}`),
  'a megabyte': async () => `${part(HEADER)}.${'A'.repeat(1_048_576)}.AAAA`,
  'just over the limit': () => signed(HEADER, { ...CLAIMS, models: Array(40).fill('m'.repeat(200)) }),
  'four parts': async () => `${await signed(HEADER, CLAIMS)}.AAAA`,
  'five parts, as if encrypted': async () => `${await signed(HEADER, CLAIMS)}.AAAA.AAAA`,
  'padding at the end': async () => `${await signed(HEADER, CLAIMS)}==`,
  'other letters of base64': async () => (await signed(HEADER, CLAIMS)).replace(/\.[^.]*$/, '.+/+/'),
  'white space at the end': async () => `${await signed(HEADER, CLAIMS)}\n`,
};

describe.each(Object.entries(FORGED))('%s', (_name, forge) => {
  test('is refused', async () => {
    expect(await verifyAccessToken(await forge(), keys, NOW_MS)).toBeUndefined();
  });
});

test('the claims that the forgeries start from are good', async () => {
  expect(await verifyAccessToken(await signed(HEADER, CLAIMS), keys, NOW_MS)).toMatchObject({ userId: 'ann' });
});

test('a signature with spare bits set is another writing of it, and refused', async () => {
  const good = await signed(HEADER, CLAIMS);
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  const same = good.slice(0, -1) + letters[letters.indexOf(good.slice(-1)) + 1];
  const bytes = (jwt: string) => Buffer.from(jwt.split('.')[2] ?? '', 'base64url');
  expect(bytes(same)).toEqual(bytes(good));
  expect(await verifyAccessToken(same, keys, NOW_MS)).toBeUndefined();
});

test.each([ed, es])('a token of $algorithm says what was signed, for 24 hours', async (key) => {
  const jwt = await signAccessToken(key, token, NOW_MS + 999);
  const expected = { ...token, signingKeyId: key.kid, expiresAtMs: NOW_MS + 86_400_000 };
  // 30 s before: the clock of another host.
  for (const atMs of [NOW_MS - 30_000, NOW_MS, NOW_MS + 86_399_999]) {
    expect(await verifyAccessToken(jwt, keys, atMs)).toEqual(expected);
  }
  for (const atMs of [NOW_MS - 30_001, NOW_MS + 86_400_000]) {
    expect(await verifyAccessToken(jwt, keys, atMs)).toBeUndefined();
  }
});

test('what no signature could make valid costs no look at the keys', async () => {
  for (const name of [
    'alg none with a signature',
    'HS256 with our public key as PEM',
    'a jwk in the header',
    'a megabyte',
  ]) {
    const jwt = await FORGED[name]?.();
    expect(canBeValid(jwt ?? '', NOW_MS)).toBe(false);
    await verifyAccessToken(jwt ?? '', keys, NOW_MS);
  }
  const expired = await signAccessToken(ed, token, NOW_MS - 90_000_000);
  expect(canBeValid(expired, NOW_MS)).toBe(false);
  expect(asked).toEqual([]);
});
