import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { EngineState } from '../../gen/mesh/inference/v1/engine_pb.ts';
import { startFakeEngine } from '../engines/fake-engine.ts';
import { engineStates } from '../faults/caller.ts';
import type { LedgerStore } from '../harness/ledger.ts';
import { eventually, freePort } from '../harness/processes.ts';
import { startRedis } from '../harness/redis.ts';
import { type Balancer, startBalancer } from './balancer.ts';
import { Member } from './member.ts';

const main = resolve(import.meta.dirname, '../../services/main.ts');

/** A server that shares two cores with the load is late and not away. In milliseconds. */
const STORE_TIMEOUT_MS = 5_000;

/** Longer than any answer: a gateway's streams cannot go on elsewhere. In seconds. */
const DRAIN_SECONDS = 60;

/** Shorter than a long answer, which therefore moves to another node. In seconds. */
const NODE_DRAIN_SECONDS = 2;

/** Long enough for a balancer on a busy machine to see that a process leaves. In seconds. */
const GRACE_SECONDS = 3;

/** Between two tokens of an engine, in milliseconds. */
const TOKEN_EVERY_MS = 30;

/** Roles that have two processes behind a balancer each, and what such a process runs. */
const BALANCED = { auth: 'auth', quota: 'quota', tasks: 'tasks', gateway: 'router,facade' } as const;

/** Two processes of each role, all of which share a Redis. */
export interface ReplicatedMesh extends LedgerStore {
  /** The balancer before the gateways. */
  readonly url: string;
  readonly adminKey: string;
  readonly members: readonly Member[];
  /** Ends a process in order, starts it again, and waits until it is back in its place. */
  restart(member: Member): Promise<void>;
  stop(): Promise<void>;
}

/** Starts it, with engines that make a token every 30 ms. */
export async function startReplicatedMesh(): Promise<ReplicatedMesh> {
  const directory = mkdtempSync(join(tmpdir(), 'mesh-rolling-'));
  const redis = await startRedis();
  // What is left of an answer may be one token, as a warm-up is.
  const script = { continues: true, warmUpToo: true, everyMs: TOKEN_EVERY_MS };
  const engines = await Promise.all([startFakeEngine(script), startFakeEngine(script)]);
  const balancers = new Map<string, Balancer>();
  const balancerOf = new Map<Member, Balancer>();
  const members: Member[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all(members.map((member) => member.kill()));
    await Promise.all([...balancers.values()].map((balancer) => balancer.close()));
    await Promise.all(engines.map((engine) => engine.stop()));
    await redis.server.stop('SIGKILL');
    rmSync(directory, { recursive: true, force: true });
  };
  writeFileSync(join(directory, 'pepper'), 'test-pepper-0123456789abcdef0123456789abcdef');

  async function add(name: string, roles: string, sections: object = {}): Promise<Member> {
    const isNode = roles === 'inference';
    const server = {
      store_timeout_ms: STORE_TIMEOUT_MS,
      drain_seconds: isNode ? NODE_DRAIN_SECONDS : DRAIN_SECONDS,
      drain_grace_seconds: isNode ? 0 : GRACE_SECONDS,
    };
    writeFileSync(
      join(directory, `${name}.json`),
      JSON.stringify({ server, inference: { devices: 'none' }, ...sections }),
    );
    const port = await freePort();
    const flags = ['--max-semi-space-size=8', '--disable-warning=ExperimentalWarning', main, '--roles', roles];
    const own = ['--config', join(directory, `${name}.json`), '--data-dir', join(directory, name)];
    // Filled while the parts start: who is reached by a balancer is known before the first of them does.
    const environment = {
      REDIS_URL: redis.url,
      MESH_PEPPER_FILE: join(directory, 'pepper'),
      MESH_TOKEN: 'test-token-0123456789abcdef0123456789abcdef',
    };
    const member = new Member({
      ...{ name, port, directory },
      command: [...flags, ...own, '--port', String(port), ...(isNode ? ['--model', 'none'] : [])],
      get environment() {
        return { ...environment, ...peersOf(roles) };
      },
      probe: roles.includes('facade') ? { path: '/readyz' } : { path: '/grpc.health.v1.Health/Check', body: '{}' },
    });
    members.push(member);
    return member;
  }

  function peersOf(roles: string): Record<string, string> {
    const at = (name: string): string => `http://127.0.0.1:${balancers.get(name)?.port}`;
    const gateways = members.filter(({ name }) => name.startsWith('gateway')).map(({ url }) => url);
    return {
      ...{ MESH_PEER_AUTH: at('auth'), MESH_PEER_QUOTA: at('quota'), MESH_PEER_TASKS: at('tasks') },
      // A node tells every router of itself; who has a request asks any of them.
      ...(roles === BALANCED.gateway
        ? {}
        : { MESH_PEER_ROUTER: roles === 'inference' ? gateways.join() : at('gateway') }),
    };
  }

  const urlOf = (): string => `http://127.0.0.1:${balancers.get('gateway')?.port}`;
  const gateways = (): Member[] => members.filter(({ name }) => name.startsWith('gateway'));
  const adminKeyOf = (): string | undefined =>
    members
      .map(({ name }) => join(directory, name, 'admin.key'))
      .filter((path) => existsSync(path))
      .map((path) => readFileSync(path, 'utf8').trim())[0];

  async function untilBothNodes(adminKey: string): Promise<void> {
    for (const { url } of gateways()) {
      await eventually('a gateway knows both engines', async () => {
        const states = await engineStates({ url, adminKey });
        return states.filter((state) => state === EngineState.READY).length === engines.length;
      });
    }
  }

  try {
    for (const [name, roles] of Object.entries(BALANCED)) {
      const pair = [await add(`${name}-1`, roles), await add(`${name}-2`, roles)];
      const balancer = await startBalancer(pair);
      balancers.set(name, balancer);
      for (const member of pair) balancerOf.set(member, balancer);
    }
    for (const [i, { baseUrl }] of engines.entries()) {
      const entry = { name: `e${i}`, engine: 'openai', model: 'twin', required: true, continues_chat: 'last_message' };
      const models = [{ ...entry, base_url: baseUrl }];
      await add(`node-${i}`, 'inference', { inference: { node: `node-${i}`, devices: 'none', models } });
    }
    for (const member of members) member.start();
    for (const member of members) await member.untilReady();
    const adminKey = await eventually('there is an admin key', adminKeyOf);
    for (const [member, balancer] of balancerOf) await balancer.until(member, true);
    await untilBothNodes(adminKey);
    return {
      ...{ url: urlOf(), adminKey, members, stop, redisUrl: redis.url, dataDir: () => directory },
      async restart(member) {
        await member.end();
        member.start();
        await member.untilReady();
        await balancerOf.get(member)?.until(member, true);
        await untilBothNodes(adminKey);
      },
    };
  } catch (error) {
    const shown = members.map(({ name, output }) => `--- ${name}\n${output}`).join('\n');
    await stop();
    throw new Error(`the mesh did not start:\n${shown}`, { cause: error });
  }
}
