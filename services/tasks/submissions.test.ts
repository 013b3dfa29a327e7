import { create } from '@bufbuild/protobuf';
import type { Client } from '@connectrpc/connect';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { CredentialKind, PrincipalSchema } from '../../gen/mesh/auth/v1/principal_pb.ts';
import { GenerateRequestSchema } from '../../gen/mesh/generation/v1/generate_request_pb.ts';
import type { QuotaService } from '../../gen/mesh/quota/v1/quota_service_pb.ts';
import { MeshError } from '../shared/errors/mesh-error.ts';
import { openSqliteFile, type SqliteFile } from './store/sqlite-file.fixture.ts';
import { createSqliteTaskStore } from './store/sqlite-task-store.ts';
import type { TaskStore } from './store/task-store.ts';
import { type SubmissionParts, submitTask } from './submissions.ts';

let file: SqliteFile;
let store: TaskStore;
/** What quota was asked, as "method id". */
let asked: string[];
let settle: () => Promise<unknown>;
beforeEach(() => {
  file = openSqliteFile();
  store = createSqliteTaskStore(file.store, { resultTtlMs: 3_600_000, maxAttempts: 3, ageingMs: 60_000 });
  asked = [];
  settle = async () => ({});
});
afterEach(() => file.remove());

function parts(given: TaskStore = store): SubmissionParts {
  const note = (method: string, { reservationId = '' }: { reservationId?: string | undefined }): void => {
    asked.push(`${method} ${reservationId}`);
  };
  const quota = {
    reserve: async (request: object) => {
      note('reserve', request);
      return { limits: [] };
    },
    settle: (request: object) => {
      note('settle', request);
      return settle();
    },
    release: async (request: object) => note('release', request),
  } as unknown as Client<typeof QuotaService>;
  const models = { find: async () => undefined };
  return {
    store: given,
    quota,
    models,
    priorities: {},
    timeLimitMs: 1_000,
    now: Date.now,
    log: pino({ enabled: false }),
  };
}

const ann = create(PrincipalSchema, { kind: CredentialKind.API_KEY, keyId: 'ann' });
const task = (idempotencyKey = '', text = 'hi') => ({
  request: create(GenerateRequestSchema, { prompt: { input: { case: 'text', value: text } } }),
  ...{ principal: ann, clientIp: undefined, idempotencyKey, timeLimitMs: undefined },
});

test('an accepted task is told at once, however long quota takes to hear of it', async () => {
  settle = () => new Promise(() => {});
  const { task: accepted } = await submitTask(parts(), task());
  expect(await store.find(accepted.taskId)).toBeDefined();
  expect(asked.map((call) => call.split(' ')[0])).toEqual(['reserve', 'settle']);
});

test('two at a time with one key are one task and one request', async () => {
  const [first, second] = await Promise.all([submitTask(parts(), task('k')), submitTask(parts(), task('k'))]);
  expect(second?.task.taskId).toBe(first?.task.taskId);
  expect(new Set(asked.map((call) => call.split(' ')[1])).size).toBe(1);
  expect(asked.filter((call) => call.startsWith('release'))).toEqual([]);
  asked = [];
  await submitTask(parts(), task('k'));
  expect(asked).toEqual([]);
});

test('two at a time with one key and other requests: one is refused and counts nothing', async () => {
  const both = await Promise.allSettled([submitTask(parts(), task('k')), submitTask(parts(), task('k', 'other'))]);
  expect(both.map(({ status }) => status)).toEqual(['fulfilled', 'rejected']);
  expect((both[1] as PromiseRejectedResult).reason).toMatchObject({ reason: 'ALREADY_EXISTS' });
  const [reserved, refused] = asked.filter((call) => call.startsWith('reserve')).map((call) => call.split(' ')[1]);
  expect(asked).toContain(`settle ${reserved}`);
  expect(asked).toContain(`release ${refused}`);
  expect(refused).not.toBe(reserved);
});

test('what nobody knows to be accepted stays counted, and a repetition counts nothing more', async () => {
  const unknown = new MeshError('STORE_UNAVAILABLE', 'lost');
  const lossy: TaskStore = {
    ...store,
    async submit(submission) {
      await store.submit(submission);
      throw unknown;
    },
  };
  await expect(submitTask(parts(lossy), task('k'))).rejects.toBe(unknown);
  expect(asked.map((call) => call.split(' ')[0])).toEqual(['reserve']);
  await submitTask(parts(), task('k'));
  expect(asked).toHaveLength(1);
});
