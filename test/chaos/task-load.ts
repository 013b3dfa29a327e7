import { setTimeout as delay } from 'node:timers/promises';
import type { LoadKey } from './cluster.ts';
import { TaskClient } from './task-client.ts';
import type { ReadEvents, SubmissionRecord, ToldEnd } from './task-history.ts';

/** What the load is. */
export interface TaskLoadOptions {
  readonly urls: readonly string[];
  readonly keys: readonly LoadKey[];
  /** How many tasks are submitted in all. */
  readonly tasks: number;
  /** How many are under way at a time. */
  readonly atOnce: number;
  readonly random: () => number;
}

/** What clients were told. */
export interface TaskLoad {
  readonly submissions: SubmissionRecord[];
  readonly ends: ToldEnd[];
  readonly readers: ReadEvents[];
}

/** Pause of the engines between two tokens, in milliseconds. */
const EVERY_MS = 40;

/** Part of the tasks that are cancelled, and that are submitted twice at once. */
const CANCELLED = 0.1;
const DOUBLED = 0.2;

/** Submits tasks over all protocols to all gateways and stays with each until it has ended. */
export async function runTaskLoad({ urls, keys, tasks, atOnce, random }: TaskLoadOptions): Promise<TaskLoad> {
  const load: TaskLoad = { submissions: [], ends: [], readers: [] };
  let sent = 0;
  const client = async (): Promise<void> => {
    while (sent < tasks) {
      const idempotencyKey = `chaos-${sent}`;
      sent += 1;
      const key = keys[Math.floor(random() * keys.length)];
      if (!key) return;
      const made = 1 + Math.floor(random() * 60);
      const engine = { tokens: made, everyMs: EVERY_MS, logprobs: false };
      const isCancelled = random() < CANCELLED;
      const isRead = random() < 0.5;
      const ways = Array.from({ length: random() < DOUBLED ? 2 : 1 }, () => new TaskClient({ urls, key, random }));
      const protocol = random() < 0.5 ? ('rest' as const) : ('grpc' as const);
      const plan = { protocol, idempotencyKey, prompt: JSON.stringify(engine), maxTokens: made + 1 };
      const answers = await Promise.all(ways.map((way) => way.submit(plan)));
      const taskIds = answers.filter((id) => id !== undefined);
      load.submissions.push({ idempotencyKey, keyId: key.keyId, taskIds, isCancelled });
      const [taskId] = taskIds;
      const [way] = ways;
      if (taskId === undefined || !way) {
        await delay(random() * 1_500);
        continue;
      }
      if (isCancelled) {
        await delay(random() * 2_000);
        await way.cancel(taskId);
      }
      if (isRead) load.readers.push({ taskId, events: await way.read(taskId) });
      // Twice, and from anywhere: what was told once stays.
      for (let i = 0; i < 2; i += 1) load.ends.push({ taskId, result: await way.end(taskId) });
    }
  };
  await Promise.all(Array.from({ length: atOnce }, client));
  return load;
}
