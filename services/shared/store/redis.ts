import type { Redis } from 'ioredis';
import type { Logger } from 'pino';
import { ConfigError } from '../lifecycle/config-source.ts';
import { storeUnavailable } from './store-error.ts';
import { traceCommands } from './traced-store.ts';

/** The shared store. */
export interface RedisStore {
  readonly kind: 'redis';
  readonly redis: Redis;
}

/** The longest that a caller waits for one command, in milliseconds, unless told. */
const COMMAND_TIMEOUT_MS = 200;

/**
 * A connection that owes answers and has been silent for so long is given up, in milliseconds; else commands would
 * gather behind a stopped server without bound.
 */
const SILENCE_MS = 1_000;

/** The longest wait before a lost connection is tried again, in milliseconds; recovery takes at most this. */
const RECONNECT_MS = 1_000;

/** Version of what the services keep in Redis. 2: quota holds tokens, under keys of its own. */
const SCHEMA_VERSION = 2;
const SCHEMA_KEY = 'mesh:store:schema';

/** Error replies that blame the state of the server and not the command. */
const SERVER_STATES = /^(OOM|LOADING|READONLY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|BUSY|MISCONF|NOREPLICAS|NOAUTH|NOPERM)\b/;

/**
 * Connects and waits until the server answers.
 *
 * @throws MeshError STORE_UNAVAILABLE when it does not; ConfigError when it would lose entries on its own, or holds
 * what a newer version wrote.
 */
export async function openRedis(
  url: string,
  log: Logger,
  commandTimeoutMs: number = COMMAND_TIMEOUT_MS,
): Promise<RedisStore> {
  // Loaded only where it is used: a process with the embedded store stays 6 MB smaller.
  const { Redis: RedisClient } = await import('ioredis');
  const redis = new RedisClient(url, {
    lazyConnect: true,
    connectTimeout: 2_000,
    commandTimeout: commandTimeoutMs,
    socketTimeout: Math.max(SILENCE_MS, 2 * commandTimeoutMs),
    retryStrategy: (attempt) => Math.min(50 * 2 ** (attempt - 1), RECONNECT_MS),
    // A command whose reply was lost may have run: resending it behind the caller's back would run it twice.
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    // While the server is away commands fail at once; the caller decides what to do.
    enableOfflineQueue: false,
  });
  logConnection(redis, log);
  traceCommands(redis);
  const store: RedisStore = { kind: 'redis', redis };
  try {
    await redis.connect();
    await refuseEviction(redis);
    await refuseNewer(redis);
    return store;
  } catch (error) {
    redis.disconnect();
    throw error instanceof ConfigError ? error : storeUnavailable('redis', error);
  }
}

/** Whether the server answers now. Never rejects. */
export async function pingRedis(store: RedisStore): Promise<boolean> {
  return await store.redis.ping().then(
    () => true,
    () => false,
  );
}

/** Ends the connection. */
export async function closeRedis(store: RedisStore): Promise<void> {
  // Whoever still waits for an answer gets it first; a server that is away owes none.
  await store.redis.quit().catch(() => store.redis.disconnect());
}

/** An error of a command → MeshError STORE_UNAVAILABLE, unless the command itself was wrong. */
export function redisError(error: unknown): unknown {
  const isReply = error instanceof Error && error.name === 'ReplyError';
  return isReply && !SERVER_STATES.test(error.message) ? error : storeUnavailable('redis', error);
}

/** An evicted counter would silently lift a limit, an evicted key would lock a caller out. */
async function refuseEviction(redis: Redis): Promise<void> {
  const memory = await redis.info('memory');
  const policy = /^maxmemory_policy:(\S+)/m.exec(memory)?.[1];
  const limitBytes = Number(/^maxmemory:(\d+)/m.exec(memory)?.[1] ?? 0);
  if (limitBytes > 0 && policy !== undefined && policy !== 'noeviction') {
    throw new ConfigError(
      `REDIS_URL: the server may evict entries (maxmemory-policy ${policy}). Set it to noeviction.`,
    );
  }
}

async function refuseNewer(redis: Redis): Promise<void> {
  const found = Number((await redis.get(SCHEMA_KEY)) ?? 0);
  if (found > SCHEMA_VERSION) {
    throw new ConfigError(
      `REDIS_URL: the store has version ${found}, written by a newer inference-mesh; this one knows ${SCHEMA_VERSION}.`,
    );
  }
  if (found < SCHEMA_VERSION) await redis.set(SCHEMA_KEY, SCHEMA_VERSION);
}

/** One line per loss and one per recovery, not one per attempt. */
function logConnection(redis: Redis, log: Logger): void {
  let isLost = false;
  redis.on('error', (error: Error & { code?: string }) => {
    if (!isLost) log.warn({ code: error.code ?? error.name }, 'Redis does not answer');
    isLost = true;
  });
  redis.on('ready', () => {
    if (isLost) log.info('Redis answers again');
    isLost = false;
  });
}
