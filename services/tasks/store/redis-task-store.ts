import type { RedisStore } from '../../shared/store/redis.ts';
import { type RedisScript, runScript } from '../../shared/store/redis-script.ts';
import { CANCELLED, WORKER_LOST } from '../failures.ts';
import {
  APPEND,
  CANCEL,
  CLAIM,
  EVENTS,
  FIND,
  FIND_BY_KEY,
  FINISH,
  LIST,
  PUT_BACK,
  RENEW,
  SUBMIT,
  SWEEP,
  TASK_KEYS,
} from './redis-scripts.ts';
import { createRedisTaskNews } from './redis-task-news.ts';
import { eventOf, fieldsOf, seqOf, submittedOf, type TaskReply, taskOf } from './redis-task-reply.ts';
import type { Claim, TaskStore, TaskStoreOptions } from './task-store.ts';

/** Tasks in the shared store: one script per decision. Without `now` the server's clock decides. */
export function createRedisTaskStore(store: RedisStore, options: TaskStoreOptions): TaskStore {
  const { resultTtlMs, maxAttempts, ageingMs, now } = options;
  const news = createRedisTaskNews(store);
  // All keys have one hash tag; one of them tells a cluster where the script runs.
  const keys = [`${TASK_KEYS}seq`];
  const run = (script: RedisScript, ...args: readonly (string | number)[]): Promise<unknown> =>
    runScript(store, script, keys, [now?.() ?? '', news.channel, ...args]);
  const done = async (answer: Promise<unknown>): Promise<boolean> => (await answer) === 1;
  const keyOf = (owner: string, key: string): string =>
    key === '' ? '' : `${TASK_KEYS}key:${owner.length}:${owner}:${key}`;

  return {
    async submit({ taskId, owner, organization, priority, cost, idempotencyKey, fingerprint, work, endUser }) {
      const place = [organization, priority, cost, keyOf(owner, idempotencyKey), fingerprint];
      const bytes = Buffer.from(work).toString('base64');
      return submittedOf((await run(SUBMIT, taskId, owner, ...place, bytes, endUser)) as [string, TaskReply?]);
    },
    async findByKey(owner, key, fingerprint) {
      if (key === '') return undefined;
      const found = (await run(FIND_BY_KEY, keyOf(owner, key), fingerprint)) as [string, TaskReply?] | null;
      return found ? submittedOf(found) : undefined;
    },
    async find(taskId) {
      const found = (await run(FIND, taskId)) as TaskReply | null;
      return found ? taskOf(found) : undefined;
    },
    async list(owner, limit, after) {
      const found = (await run(LIST, owner, after ?? '+inf', limit + 1)) as TaskReply[];
      const page = found.slice(0, limit);
      const last = page.at(-1);
      return { tasks: page.map(taskOf), next: last && found.length > limit ? seqOf(last) : undefined };
    },
    async claim(most, leaseMs) {
      const taken = (await run(CLAIM, most, leaseMs, ageingMs)) as [string, number, string][];
      return taken.map(([taskId, attempt, work]) => ({ taskId, attempt, work: Buffer.from(work, 'base64') }));
    },
    async renew(claims, leaseMs) {
      const named = claims.flatMap(({ taskId, attempt }) => [taskId, attempt]);
      const lost = (await run(RENEW, leaseMs, ...named)) as number[];
      return lost.map((place) => claims[place] as Claim);
    },
    append: ({ taskId, attempt }, sequence, text) => done(run(APPEND, taskId, attempt, sequence, text)),
    finish: ({ taskId, attempt }, outcome) =>
      done(run(FINISH, taskId, attempt, outcome.state === 'completed' ? 'c' : 'f', resultTtlMs, ...fieldsOf(outcome))),
    putBack({ taskId, attempt }, { delayMs, consumed, failure }) {
      const bounds = [maxAttempts, resultTtlMs];
      return done(run(PUT_BACK, taskId, attempt, delayMs, consumed ? 1 : 0, ...bounds, failure.type, failure.message));
    },
    async cancel(taskId, owner) {
      const { type, message } = CANCELLED;
      const answer = (await run(CANCEL, taskId, owner, resultTtlMs, type, message)) as [string, TaskReply] | null;
      if (!answer) return { kind: 'unknown' };
      return { kind: answer[0] === 'ended' ? 'ended' : 'cancelled', task: taskOf(answer[1]) };
    },
    async events(taskId, after, limit, maxBytes) {
      const entries = (await run(EVENTS, taskId, after, limit, maxBytes)) as string[] | null;
      return entries?.map((entry, i) => eventOf(entry, after + 1 + i));
    },
    async sweep() {
      return (await run(SWEEP, maxAttempts, resultTtlMs, WORKER_LOST.type, WORKER_LOST.message)) === 1;
    },
    watch: news.watch,
    close: news.close,
  };
}
