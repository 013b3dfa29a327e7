import { setTimeout as delay } from 'node:timers/promises';
import { create } from '@bufbuild/protobuf';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CredentialKind, PrincipalSchema } from '../../gen/mesh/auth/v1/principal_pb.ts';
import { GenerateRequestSchema } from '../../gen/mesh/generation/v1/generate_request_pb.ts';
import { GenerationEventSchema } from '../../gen/mesh/generation/v1/generation_event_pb.ts';
import { eventually } from '../../test/harness/processes.ts';
import { MeshError } from '../shared/errors/mesh-error.ts';
import type { Generate } from '../shared/transport/generate.ts';
import { openSqliteFile, type SqliteFile } from './store/sqlite-file.fixture.ts';
import { createSqliteTaskStore } from './store/sqlite-task-store.ts';
import type { TaskStore } from './store/task-store.ts';
import { encodeWork } from './work.ts';
import { createWorker, type Worker } from './worker.ts';

/** Waits on a machine that does other work too, in milliseconds. */
const PATIENCE_MS = 60_000;

describe('a worker', { timeout: PATIENCE_MS }, () => {
  let file: SqliteFile;
  let store: TaskStore;
  let worker: Worker | undefined;

  beforeEach(() => {
    file = openSqliteFile();
    store = createSqliteTaskStore(file.store, { resultTtlMs: 3_600_000, maxAttempts: 3, ageingMs: 60_000 });
  });
  afterEach(async () => {
    await worker?.drain(0);
    worker = undefined;
    file.remove();
  });

  function start(generate: Generate, given: TaskStore = store, concurrency = 4): Worker {
    worker = createWorker({
      ...{ store: given, generate, now: Date.now, log: pino({ level: 'silent' }), concurrency, leaseMs: 60_000 },
    });
    worker.start();
    return worker;
  }

  const work = encodeWork({
    request: create(GenerateRequestSchema, { prompt: { input: { case: 'text', value: 'hi' } } }),
    principal: create(PrincipalSchema, { kind: CredentialKind.API_KEY, keyId: 'k' }),
    ...{ clientIp: undefined, timeLimitMs: 60_000, submittedAtMs: Date.now() },
  });

  async function submit(taskId: string, bytes = work): Promise<void> {
    const place = { owner: 'ann', organization: 'acme', priority: 0, cost: 10, idempotencyKey: '', fingerprint: '' };
    await store.submit({ ...place, taskId, work: bytes, endUser: '' });
  }

  const outcomeOf = (taskId: string) =>
    eventually('the task has ended', async () => (await store.find(taskId))?.outcome, PATIENCE_MS);

  const delta = create(GenerationEventSchema, { event: { case: 'delta', value: { text: 'x' } } });

  test('what cannot be read fails at once, and the next one runs', async () => {
    await submit('poison', Uint8Array.of(255, 255, 255));
    await submit('good');
    start((_request, _call, sink) => {
      sink.event(delta);
      sink.end();
    });
    expect(await outcomeOf('poison')).toMatchObject({ state: 'failed', failure: { type: 'Internal' } });
    expect(await outcomeOf('good')).toMatchObject({ state: 'completed', result: 'x' });
    expect(await store.find('poison')).toMatchObject({ attempt: 1 });
  });

  test('a front door that throws uses up attempts and then fails the task', async () => {
    await submit('a');
    start(() => {
      throw new Error('broken');
    });
    expect(await outcomeOf('a')).toMatchObject({ state: 'failed', failure: { type: 'Internal' } });
    expect(await store.find('a')).toMatchObject({ attempt: 3 });
  });

  test('many tasks that nothing can run now are not tried as fast as they can be taken', async () => {
    for (let i = 0; i < 200; i += 1) await submit(`t${i}`);
    let tries = 0;
    start((_request, _call, sink) => {
      tries += 1;
      sink.fail(new MeshError('NO_HEALTHY_ENGINE', 'No healthy backends'));
    });
    await eventually('it tries', async () => tries > 0, PATIENCE_MS);
    const [before, fromMs] = [tries, performance.now()];
    await delay(1_000);
    // 4 places that rest for a quarter of a second, however long this took.
    expect(tries - before).toBeLessThanOrEqual(4 * (2 + (performance.now() - fromMs) / 250));
  });

  test('a process that ends while it asks for tasks does not wait for the drain time', async () => {
    let answer: () => void = () => {};
    const asked = new Promise<void>((resolve) => {
      answer = resolve;
    });
    const slow: TaskStore = { ...store, claim: () => asked.then(() => []) };
    const draining = start(() => {}, slow).drain(PATIENCE_MS * 2);
    answer();
    await draining;
  });

  test('a call whose answer was lost is repeated under its name', async () => {
    const names: (string | undefined)[] = [];
    const lossy: TaskStore = {
      ...store,
      async claim(most, leaseMs, name) {
        names.push(name);
        if (names.length < 3) throw new MeshError('STORE_UNAVAILABLE', 'lost');
        return await store.claim(most, leaseMs, name);
      },
    };
    start(() => {}, lossy);
    await eventually('it asks', async () => names.length > 3, PATIENCE_MS);
    expect(new Set(names.slice(0, 3)).size).toBe(1);
    expect(names[3]).not.toBe(names[2]);
    expect(names[0]).not.toBe('');
  });
});
