import { createKey } from '../../services/auth/api-key.ts';
import { BOUND_ADDRESS, type Cast, type Persona } from './cast.ts';
import type { Header } from './wire.ts';

/** What a request says about who sends it. */
export type Meaning =
  /** The persona. */
  | 'caller'
  /** A process of the mesh. */
  | 'peer'
  /** Nobody. */
  | 'anonymous'
  /** Somebody who is not known, or not any more. */
  | 'unknown'
  /** A text that is no credential. */
  | 'unreadable'
  /** Somebody else, by a word that nobody signed. */
  | 'vouched'
  /** Two people. */
  | 'two'
  /** Whoever it is, the key stands in the URL. */
  | 'in the URL';

/** One way to present a credential. */
export interface CredentialForm {
  readonly name: string;
  readonly meaning: Meaning;
  readonly headers: readonly Header[];
  /** With its question mark; default none. */
  readonly query?: string;
  /** Needs letter case or repetition, which HTTP/2 has not. */
  readonly isHttp1?: true;
  /** Where it comes from; default an address of its own, so that no limit on failures takes part. */
  readonly address?: string;
}

/** All ways in which somebody can say truly who he is. */
export function truthfulForms({ key, token }: Persona): CredentialForm[] {
  const form = (name: string, headers: Header[], isHttp1?: true): CredentialForm => ({
    ...{ name, meaning: 'caller', headers, address: '192.0.2.1' },
    ...(isHttp1 ? { isHttp1 } : {}),
  });
  const withToken =
    token === undefined
      ? []
      : [
          form('token as Bearer', [['authorization', `Bearer ${token}`]]),
          form('token as X-API-Key', [['x-api-key', token]]),
          form('token in both headers', [
            ['authorization', `Bearer ${token}`],
            ['x-api-key', token],
          ]),
        ];
  return [
    ...withToken,
    form('key as Bearer', [['authorization', `Bearer ${key}`]]),
    form('key as X-API-Key', [['x-api-key', key]]),
    form('key in both headers', [
      ['authorization', `Bearer ${key}`],
      ['x-api-key', key],
    ]),
    form('AUTHORIZATION: bEaReR', [['AUTHORIZATION', `bEaReR ${key}`]], true),
    form('X-Api-kEy', [['X-Api-kEy', key]], true),
    form(
      'the same Authorization twice',
      [
        ['Authorization', `Bearer ${key}`],
        ['authorization', `Bearer ${key}`],
      ],
      true,
    ),
  ];
}

/** All the others; those that use a good credential use the admin's. */
export function otherForms({ admin, personas, ended, bound }: Cast, meshToken: string): CredentialForm[] {
  const [other] = personas;
  if (!other) throw new Error('there are several');
  const bearer = (credential: string): Header => ['authorization', `Bearer ${credential}`];
  const unknown = (name: string, credential: string): CredentialForm[] => [
    { name: `${name} as Bearer`, meaning: 'unknown', headers: [bearer(credential)] },
    { name: `${name} as X-API-Key`, meaning: 'unknown', headers: [['x-api-key', credential]] },
  ];
  const [head, claims] = admin.token.split('.');
  return [
    { name: 'nothing', meaning: 'anonymous', headers: [] },
    {
      name: 'empty headers',
      meaning: 'anonymous',
      headers: [
        ['authorization', ''],
        ['x-api-key', ''],
      ],
    },
    {
      name: 'a header of others',
      meaning: 'anonymous',
      headers: [
        ['api-key', admin.key],
        ['x-forwarded-user', 'admin'],
      ],
    },
    { name: 'a cookie', meaning: 'anonymous', headers: [['cookie', `api_key=${admin.key}; token=${admin.token}`]] },
    { name: 'a wrong mesh token', meaning: 'anonymous', headers: [['mesh-token', `${meshToken}x`]] },
    {
      name: 'a peer for nobody',
      meaning: 'anonymous',
      headers: [
        ['mesh-token', meshToken],
        ['mesh-forwarded', '1'],
      ],
    },
    { name: 'Basic', meaning: 'unreadable', headers: [['authorization', `Basic ${btoa(`admin:${admin.key}`)}`]] },
    { name: 'no scheme', meaning: 'unreadable', headers: [['authorization', admin.key]] },
    { name: 'Bearer alone', meaning: 'unreadable', headers: [['authorization', 'Bearer']] },
    { name: 'two words', meaning: 'unreadable', headers: [['authorization', `Bearer ${admin.key} ${admin.key}`]] },
    ...unknown('a key that was never made', createKey().secret),
    ...unknown('a key with a wrong checksum', `${admin.key.slice(0, -1)}${admin.key.endsWith('0') ? '1' : '0'}`),
    ...unknown('a key of another form', 'sk-something-else'),
    ...unknown('a token that somebody else signed', `${head}.${claims}.${'A'.repeat(86)}`),
    ...unknown('a token that nobody signed', `${head}.${claims}.`),
    ...Object.entries(ended).flatMap(([name, credential]) => unknown(name, credential)),
    ...unknown('a key of another network', bound),
    { name: 'a bound key where it belongs', meaning: 'caller', headers: [bearer(bound)], address: BOUND_ADDRESS },
    { name: 'a peer with a credential', meaning: 'caller', headers: [['mesh-token', meshToken], bearer(admin.key)] },
    { name: 'a peer', meaning: 'peer', headers: [['mesh-token', meshToken]] },
    {
      name: 'an unsigned word for somebody',
      meaning: 'vouched',
      headers: [bearer(admin.key), ['mesh-on-behalf-of-bin', 'AAAA']],
    },
    { name: 'two people', meaning: 'two', headers: [bearer(admin.key), ['x-api-key', other.key]] },
    { name: 'key and token of one', meaning: 'two', headers: [bearer(admin.token), ['x-api-key', admin.key]] },
    { name: 'a good and a bad one', meaning: 'two', headers: [bearer(admin.key), ['x-api-key', 'nobody']] },
    {
      name: 'two in one header',
      meaning: 'two',
      headers: [['authorization', `Bearer ${admin.key}, Bearer ${other.key}`]],
    },
    { name: 'two Authorization', meaning: 'two', headers: [bearer(admin.key), bearer(other.key)], isHttp1: true },
    {
      name: 'two X-API-Key',
      meaning: 'two',
      headers: [
        ['X-API-Key', admin.key],
        ['x-api-key', other.key],
      ],
      isHttp1: true,
    },
    ...['api_key', 'API-KEY', 'access_token'].map(
      (name): CredentialForm => ({ name, meaning: 'in the URL', headers: [], query: `?${name}=${admin.key}` }),
    ),
    { name: 'URL and header', meaning: 'in the URL', headers: [bearer(admin.key)], query: `?api_key=${admin.key}` },
  ];
}
