import type { Redis } from 'ioredis';
import { z } from 'zod';
import { type RedisStore, redisError } from '../../shared/store/redis.ts';
import { storeUnavailable } from '../../shared/store/store-error.ts';
import { createChanges } from '../../shared/transport/changes.ts';
import { type Revocations, Watches } from '../revocations.ts';
import { AUTH_KEYS } from './redis-names.ts';

/** Where they are told. The server keeps none: whoever was away has missed some and is told so. */
const CHANNEL = `${AUTH_KEYS}revocations`;

/** Channels are of the whole server: meshes that have a database each of one server must not hear each other. */
const channelOf = ({ redis }: RedisStore): string => `${CHANNEL}:${redis.options.db ?? 0}`;

/** How often the server is asked whether it is still there, in milliseconds: a silent connection looks like a quiet one. */
const PING_EVERY_MS = 1_000;

/** How long an answer may take, in milliseconds, before the connection counts as broken. */
const PING_LIMIT_MS = 1_000;

/** How long a first watch waits for the connection, in milliseconds. */
const READY_MS = 2_000;

const messageSchema = z.strictObject({
  kind: z.enum(['key', 'user', 'signing-key']),
  id: z.string(),
  cutRunningStreams: z.boolean(),
});

/** Revocations of the shared store. The first watch opens a connection of its own, which then stays. */
export function createRedisRevocations(store: RedisStore): Revocations {
  const watches = new Watches();
  const changes = createChanges();
  let subscriber: Redis | undefined;
  let isLive = false;
  let isClosed = false;

  function connect(): Redis {
    const redis = store.redis.duplicate({ autoResubscribe: false, commandTimeout: PING_LIMIT_MS });
    // Every loss shows as 'close' too, and the store's own connection tells the log of it.
    redis.on('error', () => {});
    redis.on('ready', () => {
      redis.subscribe(channelOf(store)).then(
        () => setLive(true),
        () => reconnect(redis),
      );
    });
    redis.on('close', () => setLive(false));
    redis.on('message', (_channel, text) => tell(text));
    redis.connect().catch(() => {});
    return redis;
  }

  function reconnect(redis: Redis): void {
    // Not only when the connection has closed: a server that hangs does not close it.
    setLive(false);
    redis.disconnect(true);
  }

  function setLive(live: boolean): void {
    isLive = live && !isClosed;
    if (!isLive) watches.break();
    changes.notify();
  }

  function tell(text: string): void {
    try {
      watches.tell(messageSchema.parse(JSON.parse(text)));
    } catch {
      // From another version, perhaps: what it ends is not known, so nothing that was verified before counts.
      watches.break();
    }
  }

  const pinging = setInterval(() => {
    const redis = subscriber;
    if (isLive && redis) redis.ping().catch(() => reconnect(redis));
  }, PING_EVERY_MS).unref();

  return {
    async publish(revocation) {
      try {
        await store.redis.publish(channelOf(store), JSON.stringify(revocation));
      } catch (error) {
        throw redisError(error);
      }
    },
    watch(listener, onBroken) {
      const leave = watches.add(listener, onBroken);
      if (!isLive) watches.break();
      return leave;
    },
    async ready() {
      if (isClosed) throw storeUnavailable('redis', new Error('closed'));
      subscriber ??= connect();
      if (!(await changes.until(() => isLive || isClosed, READY_MS)) || !isLive) {
        throw storeUnavailable('redis', new Error('no subscription'));
      }
    },
    close() {
      isClosed = true;
      clearInterval(pinging);
      subscriber?.disconnect();
      setLive(false);
    },
  };
}
