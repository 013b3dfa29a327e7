import { Redis } from 'ioredis';
import { TASK_KEYS } from '../../services/tasks/store/redis-scripts.ts';
import type { StoredTask } from './task-history.ts';

const STATES: Readonly<Record<string, StoredTask['state']>> = {
  q: 'queued',
  d: 'queued',
  p: 'processing',
  c: 'completed',
  f: 'failed',
};

/** All tasks that a Redis server has, read past the services. */
export async function storedTasks(url: string): Promise<StoredTask[]> {
  const redis = new Redis(url);
  try {
    const tasks: StoredTask[] = [];
    for (const key of await redis.keys(`${TASK_KEYS}task:*`)) {
      const { id = '', owner = '', state = '', attempt, result, key: keyOfKey = '' } = await redis.hgetall(key);
      const events = await redis.lrange(`${TASK_KEYS}events:${id}`, 0, -1);
      // The key ends with what the client chose, behind the owner and its length.
      const idempotencyKey = keyOfKey.slice(`${TASK_KEYS}key:${owner.length}:${owner}:`.length);
      const known = STATES[state];
      if (!known) throw new Error(`the task ${id} has the state '${state}'`);
      tasks.push({ taskId: id, owner, state: known, attempt: Number(attempt), result, idempotencyKey, events });
    }
    return tasks;
  } finally {
    redis.disconnect();
  }
}
