/**
 * What it costs to know who calls, in CPU time, beside what any check of a key costs at least.
 * Usage: npm run bench:auth [-- --repetitions 5]
 * Exit codes: 0 every goal reached, 1 a goal was missed.
 */
import { hash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { pino } from 'pino';
import { AuthService } from '../gen/mesh/auth/v1/auth_service_pb.ts';
import { createKey, hashKey } from '../services/auth/api-key.ts';
import { authConfigSchema } from '../services/auth/config.ts';
import { type AuthContext, createAuthContext } from '../services/auth/context.ts';
import { authRoutes } from '../services/auth/routes.ts';
import type { TokenPair } from '../services/auth/token-service.ts';
import { createAuthorizer } from '../services/shared/interceptors/authorize.ts';
import { PEER_PRINCIPAL } from '../services/shared/interceptors/principal.ts';
import { createPrincipals } from '../services/shared/interceptors/principals.ts';
import { closeStore, openStore } from '../services/shared/store/store.ts';
import { createPeers } from '../services/shared/transport/peers.ts';
import { describeMachine } from './harness/machine.ts';
import { summarize } from './harness/statistics.ts';

const KEYS = 2_000;
const CLIENT_IP = '192.0.2.1';
const GOALS: Readonly<Record<string, number>> = {
  'cached caller': 5,
  'uncached key, SQLite in process': 300,
  'uncached token, SQLite in process': 200,
};

const { values: options } = parseArgs({ options: { repetitions: { type: 'string', default: '5' } } });
const log = pino({ level: 'silent' });
const pepper = Buffer.alloc(32, 7);
const directory = mkdtempSync(join(tmpdir(), 'inference-mesh-auth-'));
const store = await openStore({ sqlitePath: join(directory, 'mesh.db'), log });
const secrets: string[] = [];

/** Auth in this process, asked as the mesh in one process asks it, with nothing remembered yet. */
function freshMesh() {
  const context = createAuthContext(authConfigSchema.parse({}), { store, pepper, now: Date.now, log });
  const refuse = () => Promise.reject(new Error('nobody calls from outside'));
  const authorizer = createAuthorizer({ table: new Map(), authenticate: refuse, meshToken: undefined });
  const local = new Map([['auth' as const, [authRoutes(context)]]]);
  const peers = createPeers({ local, remote: new Map(), meshToken: undefined, authorizer, log });
  return {
    context,
    ...createPrincipals({ auth: () => peers.client('auth', AuthService), boundToLoopback: true, now: Date.now, log }),
  };
}

/** CPU microseconds per operation, of all threads of this process. */
async function cost(operations: number, run: (i: number) => unknown): Promise<number> {
  const before = process.cpuUsage();
  for (let i = 0; i < operations; i += 1) await run(i);
  const { user, system } = process.cpuUsage(before);
  return (user + system) / operations;
}

const keyAt = (i: number): string => secrets[i % KEYS] ?? '';
const hashed = new Map<string, number>();

let tokenOfUser: TokenPair | undefined;

/** Of a user, logged in once: what a password costs is another matter. */
async function token({ tokens, users }: AuthContext): Promise<TokenPair> {
  if (tokenOfUser) return tokenOfUser;
  const password = 'correct horse battery';
  await users.create({ userId: 'ann', organizationId: 'acme', tier: 'standard', scopes: [] }, password);
  tokenOfUser = await tokens.login('ann', password, CLIENT_IP);
  return tokenOfUser;
}

const MEASUREMENTS: Readonly<Record<string, () => Promise<number>>> = {
  'baseline: awaiting a look-up by SHA-256 in a Map': () =>
    cost(100_000, async (i) => hashed.get(hash('sha256', keyAt(i), 'base64'))),
  'baseline: HMAC-SHA-256 of a key': () => cost(50_000, (i) => hashKey(keyAt(i), pepper)),
  'cached caller': async () => {
    const { authenticate } = freshMesh();
    for (const secret of secrets) await authenticate(secret, CLIENT_IP);
    return await cost(100_000, (i) => authenticate(keyAt(i), CLIENT_IP));
  },
  'uncached key, SQLite in process': () => {
    const { authenticate } = freshMesh();
    return cost(KEYS, (i) => authenticate(keyAt(i), CLIENT_IP));
  },
  'uncached token, SQLite in process': async () => {
    const { context } = freshMesh();
    const { accessToken } = await token(context);
    // The first opens the signing key.
    await context.authenticate(accessToken, { clientIp: CLIENT_IP });
    return await cost(KEYS, () => context.authenticate(accessToken, { clientIp: CLIENT_IP }));
  },
  'unknown key, over the limit of its address': async () => {
    const { context } = freshMesh();
    const wrong = Array.from({ length: 10_000 }, () => createKey().secret);
    const refused = (i: number) => context.authenticate(wrong[i] ?? '', { clientIp: CLIENT_IP }).catch(() => undefined);
    return await cost(wrong.length, refused);
  },
};

async function measure(): Promise<boolean> {
  const { context } = freshMesh();
  for (let i = 0; i < KEYS; i += 1) {
    const draft = { name: '', userId: 'u', organizationId: 'acme', tier: 'standard', scopes: [], models: [] };
    secrets.push((await context.keys.create({ ...draft, allowedIpRanges: [] }, PEER_PRINCIPAL)).secret);
  }
  // The first use of a key is noted, once a minute; the second is what requests cost.
  for (const run of Object.values(MEASUREMENTS)) await run();
  const figures = new Map<string, number[]>(Object.keys(MEASUREMENTS).map((name) => [name, []]));
  for (let i = 0; i < Number(options.repetitions); i += 1) {
    for (const [name, run] of Object.entries(MEASUREMENTS)) figures.get(name)?.push(await run());
  }
  console.log(`${JSON.stringify(describeMachine())}\n\n| what | CPU µs | goal |\n|---|--:|--:|`);
  let reached = true;
  for (const [name, values] of figures) {
    const { median, min, max } = summarize(values);
    const goal = GOALS[name];
    if (goal !== undefined && median > goal) reached = false;
    const range = `${median.toPrecision(3)} (${min.toPrecision(3)}–${max.toPrecision(3)})`;
    console.log(`| ${name} | ${range} | ${goal === undefined ? '' : `≤ ${goal}`} |`);
  }
  return reached;
}

try {
  if (!(await measure())) process.exitCode = 1;
} finally {
  await closeStore(store);
  rmSync(directory, { recursive: true });
}
