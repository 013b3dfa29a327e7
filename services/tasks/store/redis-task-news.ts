import type { Redis } from 'ioredis';
import type { RedisStore } from '../../shared/store/redis.ts';
import { createTaskListeners, type TaskListener } from '../task-listeners.ts';
import { TASK_KEYS } from './redis-scripts.ts';

/** What happens to tasks, as the scripts publish it. */
export interface RedisTaskNews {
  /** Where the scripts publish: channels are of the whole server, and each of its databases may be a mesh. */
  readonly channel: string;
  watch(listener: TaskListener): () => void;
  close(): void;
}

/** The first watch opens a connection of its own, which then stays. What is missed while it is away is told as anything. */
export function createRedisTaskNews(store: RedisStore): RedisTaskNews {
  const channel = `${TASK_KEYS}news:${store.redis.options?.db ?? 0}`;
  const listeners = createTaskListeners();
  let subscriber: Redis | undefined;

  function connect(): Redis {
    const redis = store.redis.duplicate({ autoResubscribe: false });
    // The store's own connection tells the log of a server that is away.
    redis.on('error', () => {});
    redis.on('ready', () => {
      redis.subscribe(channel).then(
        () => listeners.tell({ taskId: undefined, isQueued: true }),
        () => redis.disconnect(true),
      );
    });
    redis.on('message', (_channel, text) => {
      listeners.tell({ taskId: text.slice(1), isQueued: text.startsWith('q') });
    });
    redis.connect().catch(() => {});
    return redis;
  }

  return {
    channel,
    watch(listener) {
      subscriber ??= connect();
      return listeners.add(listener);
    },
    close() {
      listeners.clear();
      subscriber?.disconnect();
    },
  };
}
