import { randomUUID } from 'node:crypto';
import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { expect } from 'vitest';
import { AuthService } from '../../gen/mesh/auth/v1/auth_service_pb.ts';
import { eventually } from './processes.ts';
import type { TaskMesh } from './task-mesh.ts';

/** An event of `GET /stream/{id}`. */
export interface StreamedEvent {
  readonly id: number;
  readonly body: {
    readonly status: string;
    readonly delta?: string;
    readonly result?: string;
    readonly error?: string;
  };
}

/** A key of its own, and what it does over REST. */
export interface TaskCaller {
  readonly keyId: string;
  /** Submits until it is accepted, under one idempotency key; returns the id. */
  submit(maxTokens: number, idempotencyKey?: string): Promise<string>;
  /** The answer of `/result`, when the task has ended. */
  result(taskId: string): Promise<Record<string, unknown>>;
  /**
   * Events after one, until `isEnough` says so of all that have come, or the stream ends. A stream that breaks gives what came.
   */
  follow(
    taskId: string,
    after?: number,
    facade?: string,
    isEnough?: (events: readonly StreamedEvent[]) => boolean,
  ): Promise<StreamedEvent[]>;
}

/** Makes one with a key of a tier. */
export async function newTaskCaller(mesh: TaskMesh, tier = 'premium'): Promise<TaskCaller> {
  const auth = createClient(AuthService, createGrpcTransport({ baseUrl: mesh.url() }));
  const { apiKey, secret } = await auth.createApiKey(
    { tier },
    { headers: { authorization: `Bearer ${mesh.adminKey}` } },
  );
  const headers = { 'x-api-key': secret, 'content-type': 'application/json' };
  const follow: TaskCaller['follow'] = async (taskId, after = 0, facade = undefined, isEnough = () => false) => {
    const events: StreamedEvent[] = [];
    const controller = new AbortController();
    const answer = await fetch(`${mesh.url(facade)}/stream/${taskId}`, {
      headers: { ...headers, 'last-event-id': String(after) },
      signal: controller.signal,
    });
    if (!answer.ok) throw new Error(`${answer.status}: ${await answer.text()}`);
    let text = '';
    try {
      for await (const part of answer.body?.pipeThrough(new TextDecoderStream()) ?? []) {
        const whole = (text + part).split('\n\n');
        text = whole.pop() ?? '';
        for (const one of whole) events.push(...eventOf(one));
        if (isEnough(events)) break;
      }
    } catch {
      // It broke: its reader has what it has.
    }
    controller.abort();
    return events;
  };
  return {
    keyId: apiKey?.keyId ?? '',
    async submit(maxTokens, idempotencyKey = randomUUID()) {
      return await eventually('it is accepted', async () => {
        const answer = await fetch(`${mesh.url()}/generate`, {
          method: 'POST',
          headers: { ...headers, 'idempotency-key': idempotencyKey },
          body: JSON.stringify({ prompt: 'hi', max_tokens: maxTokens }),
        });
        const body = await answer.text();
        if (answer.status === 202) return (JSON.parse(body) as { task_id: string }).task_id;
        // Nothing but a part that is away may refuse it.
        if (answer.status !== 503) expect.fail(`${answer.status}: ${body}`);
        throw new Error(body);
      });
    },
    async result(taskId) {
      return await eventually(`${taskId} has ended`, async () => {
        const answer = await fetch(`${mesh.url()}/result/${taskId}`, { headers });
        const body = (await answer.json()) as Record<string, unknown>;
        return answer.status !== 202 && answer.status !== 503 ? body : undefined;
      });
    },
    follow,
  };
}

function eventOf(text: string): StreamedEvent[] {
  const [, id, data] = /^id: (\d+)\ndata: (.*)$/s.exec(text) ?? [];
  return id === undefined || data === undefined ? [] : [{ id: Number(id), body: JSON.parse(data) }];
}

/** The text of the last run. */
export function textOf(events: readonly StreamedEvent[]): string {
  const begin = events.findLastIndex(({ body }) => body.status === 'processing' && body.delta === undefined);
  return events
    .slice(begin + 1)
    .map(({ body }) => body.delta ?? '')
    .join('');
}

/** Every id once, in order, from the one after; one last event and nothing behind it. */
export function expectWhole(events: readonly StreamedEvent[], after = 0): void {
  expect(events.map(({ id }) => id)).toEqual(events.map((_, i) => after + i + 1));
  const ends = events.flatMap(({ body }, i) => (body.status === 'completed' || body.status === 'error' ? [i] : []));
  expect(ends).toEqual([events.length - 1]);
}
