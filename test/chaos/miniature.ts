import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay, setImmediate as turn } from 'node:timers/promises';
import { pino } from 'pino';
import type { QuotaStore, Reserved } from '../../services/quota/store/quota-store.ts';
import { createRedisQuotaStore } from '../../services/quota/store/redis-quota-store.ts';
import { openRedis, type RedisStore } from '../../services/shared/store/redis.ts';
import { atOnce, hour, limitsOf, minute } from '../harness/quota-stores.ts';
import { startRedis } from '../harness/redis.ts';
import type { ClientRecord, EngineRecord, History } from './history.ts';
import { randomFrom } from './plan.ts';
import { startReplyDropper } from './reply-dropper.ts';
import { StoreRecorder } from './store-recorder.ts';

/** How a miniature is built; what is left out is sound. */
export interface Build {
  /** Opens the store of a router. */
  readonly open?: (url: string) => Promise<RedisStore>;
  /** Delivers tokens while `isWanted`; returns how many are charged. */
  readonly meter?: Meter;
}

/** See Build. */
export type Meter = (tokens: AsyncIterable<number>, isWanted: (token: number) => boolean) => Promise<number>;

const ROUTERS = 3;
const KEYS = 6;
const REQUESTS = 300;
const AT_ONCE = 40;
const MOST_TOKENS = 12;
const PROMPT_TOKENS = 3;
const COMMAND_TIMEOUT_MS = 500;

/** Routers in this process that share a real Redis on which replies are dropped, with engines that are functions. */
export async function runMiniature({ open = openSound, meter = meterSoundly }: Build = {}): Promise<History> {
  const directory = mkdtempSync(join(tmpdir(), 'mesh-miniature-'));
  const server = await startRedis();
  const recorder = new StoreRecorder(server.url, join(directory, 'monitor.log'));
  const port = Number(new URL(server.url).port);
  const droppers = await Promise.all(Array.from({ length: ROUTERS }, () => startReplyDropper(port)));
  const stores = await Promise.all(droppers.map((dropper) => open(`redis://127.0.0.1:${dropper.port}`)));
  const quotas = stores.map((store) => createRedisQuotaStore(store));
  const random = randomFrom(1);
  const clients: ClientRecord[] = [];
  const engines: EngineRecord[] = [];
  let sent = 0;
  const caller = async (): Promise<void> => {
    while (sent < REQUESTS) {
      const gateway = Math.floor(random() * ROUTERS);
      const plan = planOf(`r${sent++}`, random);
      const sentAtMs = Date.now();
      const [outcome, deliveredTokens, madeTokens] = await run(quotas[gateway] as QuotaStore, plan, meter);
      clients.push({ requestId: plan.id, gateway, outcome, sentAtMs, deliveredTokens });
      const counted = { requestId: plan.id, promptTokens: PROMPT_TOKENS, madeTokens };
      engines.push({ ...counted, isComplete: true, tellsTokens: true });
      await turn();
    }
  };
  let isOver = false;
  const dropping = droppers.map(async (dropper) => {
    for (; !isOver; await delay(150)) await dropper.dropFor(20);
  });
  await Promise.all(Array.from({ length: AT_ONCE }, caller));
  isOver = true;
  await Promise.all(dropping);
  const store = await recorder.stop();
  for (const { redis } of stores) redis.disconnect();
  await Promise.all(droppers.map((dropper) => dropper.close()));
  await server.server.stop('SIGKILL');
  rmSync(directory, { recursive: true });
  return { ...store, clients, engines, outages: [] };
}

interface Plan {
  readonly id: string;
  readonly key: number;
  /** After so many the client leaves; the engine waits for it there. */
  readonly leavesAfter: number | undefined;
}

function planOf(id: string, random: () => number): Plan {
  const leavesAfter = random() < 0.4 ? 1 + Math.floor(random() * MOST_TOKENS) : undefined;
  return { id, key: Math.floor(random() * KEYS), leavesAfter };
}

async function run(
  quota: QuotaStore,
  { id, key, leavesAfter }: Plan,
  meter: Meter,
): Promise<[ClientRecord['outcome'], delivered: number, made: number]> {
  const reservationId = `${id}:1`;
  const reserved = await insistently(() => reserve(quota, reservationId, `k${key}`));
  if (reserved.kind !== 'admitted') return ['refused', 0, 0];
  let [made, delivered] = [0, 0];
  async function* engine(): AsyncGenerator<number> {
    while (made < (leavesAfter ?? MOST_TOKENS)) {
      await delay(1);
      made += 1;
      yield made;
    }
  }
  const completionTokens = await meter(engine(), (token) => {
    delivered = token;
    return token !== leavesAfter;
  });
  await insistently(() => quota.settle(reservationId, { promptTokens: PROMPT_TOKENS, completionTokens, engine: 'e' }));
  return [leavesAfter === undefined ? 'whole' : 'left', delivered, made];
}

function reserve(quota: QuotaStore, reservationId: string, keyId: string): Promise<Reserved> {
  const limits = limitsOf(['tokens', minute(500)], ['requests', hour(60)], ['concurrent_requests', atOnce(4)]);
  return quota.reserve({
    ...{ reservationId, operationId: `${reservationId}:reserve`, model: 'm', limitsVersion: 0, holdMs: 60_000 },
    holder: { keyId, userId: 'u', organizationId: 'o' },
    limits: limits.map((limit) => ({ ...limit, counter: `${limit.counter}/${keyId}` })),
    ...{
      isCounted: true,
      promptBound: 2 * PROMPT_TOKENS,
      maxCompletionTokens: MOST_TOKENS,
      coveredTokens: MOST_TOKENS,
    },
  });
}

/** Repeats an operation until its outcome is known. */
async function insistently<T>(operation: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await operation();
    } catch {
      await delay(20);
    }
  }
}

const openSound = (url: string): Promise<RedisStore> => openRedis(url, pino({ level: 'silent' }), COMMAND_TIMEOUT_MS);

const meterSoundly: Meter = async (tokens, isWanted) => {
  let used = 0;
  for await (const token of tokens) {
    used += 1;
    if (!isWanted(token)) break;
  }
  return used;
};
