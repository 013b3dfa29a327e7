import { setTimeout as delay } from 'node:timers/promises';
import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { TasksService } from '../../gen/mesh/tasks/v1/tasks_service_pb.ts';
import { fromConnectError } from '../../services/shared/errors/connect-error.ts';
import type { LoadKey } from './cluster.ts';
import type { ReadEvents } from './task-history.ts';

/** What a client submits. */
export interface TaskPlan {
  readonly idempotencyKey: string;
  readonly prompt: string;
  readonly maxTokens: number;
  /** The same for every repetition: over another one the request is another. */
  readonly protocol: 'rest' | 'grpc';
}

/** How long a call may take, in milliseconds: a gateway may stand still. */
const CALL_MS = 8_000;

/** Pause before the same is asked again, in milliseconds. */
const AGAIN_MS = 300;

type Read = ReadEvents['events'][number];

/** Somebody who repeats everything at any gateway until he has an answer. */
export class TaskClient {
  readonly #urls: readonly string[];
  readonly #key: LoadKey;
  readonly #random: () => number;

  constructor(options: { readonly urls: readonly string[]; readonly key: LoadKey; readonly random: () => number }) {
    this.#urls = options.urls;
    this.#key = options.key;
    this.#random = options.random;
  }

  /** Returns the id of the task; undefined: it was refused. */
  async submit(plan: TaskPlan): Promise<string | undefined> {
    for (;;) {
      const answer = await (plan.protocol === 'rest' ? this.#submitRest(plan) : this.#submitGrpc(plan));
      if (answer !== 'unknown') return answer === 'refused' ? undefined : answer.taskId;
      await delay(AGAIN_MS);
    }
  }

  /** Ends it, unless it has ended. */
  async cancel(taskId: string): Promise<void> {
    for (;;) {
      const answer = await this.#fetch('DELETE', `/tasks/${taskId}`).catch(() => undefined);
      if (answer?.status === 200 || answer?.status === 409) return;
      await delay(AGAIN_MS);
    }
  }

  /** The result, when the task has ended; undefined: it had failed. */
  async end(taskId: string): Promise<string | undefined> {
    for (;;) {
      const answer = await this.#fetch('GET', `/result/${taskId}`).catch(() => undefined);
      const body = (answer?.body ?? {}) as { status?: string; result?: string };
      if (body.status === 'completed') return body.result;
      if (body.status === 'error') return undefined;
      if (answer?.status === 404) throw new Error(`the task ${taskId} is gone`);
      await delay(AGAIN_MS);
    }
  }

  /** All events. Comes back with the id of the last one when the stream breaks, and sometimes leaves it by himself. */
  async read(taskId: string): Promise<Read[]> {
    const events: Read[] = [];
    for (let isOver = false; !isOver; ) {
      const after = events.at(-1)?.id ?? 0;
      const leave = new AbortController();
      const timer = setTimeout(() => leave.abort(), 500 + this.#random() * 4_000);
      try {
        isOver = await (this.#random() < 0.5
          ? this.#readRest(taskId, after, events, leave.signal)
          : this.#readGrpc(taskId, after, events, leave.signal));
      } catch {
        // It is asked for the rest.
        await delay(AGAIN_MS);
      } finally {
        clearTimeout(timer);
      }
    }
    return events;
  }

  async #submitRest({ idempotencyKey, prompt, maxTokens }: TaskPlan) {
    const body = { prompt, max_tokens: maxTokens, model: 'chaos' };
    const headers = { 'idempotency-key': idempotencyKey };
    const answer = await this.#fetch('POST', '/generate', body, headers).catch(() => undefined);
    if (answer?.status === 202) return { taskId: (answer.body as { task_id: string }).task_id };
    return answer?.status === 429 ? 'refused' : 'unknown';
  }

  async #submitGrpc({ idempotencyKey, prompt, maxTokens }: TaskPlan) {
    const request = { model: 'chaos', prompt: { input: { case: 'text' as const, value: prompt } } };
    const asked = { request: { ...request, sampling: { maxTokens, temperature: 0.7, topP: 0.9 } }, idempotencyKey };
    try {
      const { task } = await this.#grpc().submit(asked, { ...this.#auth(), timeoutMs: CALL_MS });
      return { taskId: task?.taskId ?? '' };
    } catch (error) {
      return fromConnectError(error).reason === 'RATE_LIMIT_EXCEEDED' ? 'refused' : 'unknown';
    }
  }

  async #readRest(taskId: string, after: number, events: Read[], signal: AbortSignal): Promise<boolean> {
    const headers = { 'x-api-key': this.#key.secret, 'last-event-id': String(after) };
    const answer = await fetch(`${this.#url()}/stream/${taskId}`, { headers, signal });
    if (!answer.ok) throw new Error(String(answer.status));
    let text = '';
    let isOver = answer.status === 204;
    for await (const part of answer.body?.pipeThrough(new TextDecoderStream()) ?? []) {
      const whole = (text + part).split('\n\n');
      text = whole.pop() ?? '';
      for (const one of whole) {
        const [, id, data] = /^id: (\d+)\ndata: (.*)$/s.exec(one) ?? [];
        if (id === undefined || data === undefined) continue;
        const { status, delta } = JSON.parse(data) as { status: string; delta?: string };
        events.push({ id: Number(id), delta });
        isOver = status === 'completed' || status === 'error';
      }
    }
    return isOver;
  }

  async #readGrpc(taskId: string, after: number, events: Read[], signal: AbortSignal): Promise<boolean> {
    const watch = this.#grpc().watch({ taskId, afterEventId: BigInt(after) }, { ...this.#auth(), signal });
    for await (const { eventId, event } of watch) {
      events.push({ id: Number(eventId), delta: event.case === 'delta' ? event.value : undefined });
    }
    // In order: the last event was told.
    return true;
  }

  async #fetch(method: string, path: string, body?: object, headers: Record<string, string> = {}) {
    const answer = await fetch(`${this.#url()}${path}`, {
      method,
      headers: { 'x-api-key': this.#key.secret, ...(body && { 'content-type': 'application/json' }), ...headers },
      signal: AbortSignal.timeout(CALL_MS),
      ...(body && { body: JSON.stringify(body) }),
    });
    return { status: answer.status, body: (await answer.json().catch(() => ({}))) as unknown };
  }

  #grpc() {
    return createClient(TasksService, createGrpcTransport({ baseUrl: this.#url() }));
  }

  #auth() {
    return { headers: { 'x-api-key': this.#key.secret } };
  }

  #url(): string {
    return this.#urls[Math.floor(this.#random() * this.#urls.length)] ?? '';
  }
}
