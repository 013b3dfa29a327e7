/**
 * A client for the tasks and streams of an inference mesh, in one file and without packages: Node.js, Deno, Bun, browsers.
 *
 *     import { LlmClient } from './client.ts';
 *     const client = new LlmClient('http://127.0.0.1:8000', apiKey);
 *     console.log(await client.generate('The capital of France is', { maxTokens: 16 }));
 *     for await (const text of client.stream('Tell me a story.')) process.stdout.write(text);
 */

/** What a task is asked for. */
export interface GenerateOptions {
  /** 1 to 32,768; default 512. */
  readonly maxTokens?: number;
  /** 0 to 2; default 0.7. */
  readonly temperature?: number;
  /** 0 to 1; default 0.9. */
  readonly topP?: number;
  /** Your own label for whom you ask. */
  readonly userId?: string;
  /** Ends the wait; the task goes on. */
  readonly signal?: AbortSignal;
}

/** The body of `/result`. */
export type TaskResult =
  | {
      readonly status: 'completed';
      readonly task_id: string;
      readonly result: string;
      /** Times in seconds. */
      readonly metrics: Readonly<Record<string, number>>;
    }
  | { readonly status: 'error'; readonly task_id: string; readonly error_message: string; readonly error_type: string }
  | { readonly status: 'queued' | 'processing'; readonly task_id: string; readonly message: string };

/** An event of `/stream`. */
export interface TaskEvent {
  readonly status: string;
  readonly delta?: string;
  readonly [member: string]: unknown;
}

/** What the server said. */
export class LlmError extends Error {
  readonly status: number;

  constructor(status: number, detail: string) {
    super(`${status}: ${detail}`);
    this.status = status;
  }
}

/** How long to wait before a broken connection is made again, in milliseconds. */
const RECONNECT_MS = 200;

/** How often a request is sent again that may not have arrived, or came at a bad time. */
const RETRIES = 2;

/** Speaks to one mesh with one API key. */
export class LlmClient {
  readonly #baseUrl: string;
  readonly #apiKey: string;

  constructor(baseUrl: string, apiKey: string) {
    this.#baseUrl = baseUrl.replace(/\/$/, '');
    this.#apiKey = apiKey;
  }

  /** Submits a task and waits for its end. Throws LlmError; a task that fails is a result. */
  async generate(prompt: string, options: GenerateOptions = {}): Promise<TaskResult> {
    const taskId = await this.submit(prompt, options);
    for await (const { status } of this.events(taskId, options.signal)) {
      if (status === 'completed' || status === 'error') break;
    }
    return await this.result(taskId);
  }

  /** Submits a task and returns its id. A repetition after a lost answer is the same task. */
  async submit(prompt: string, options: GenerateOptions = {}): Promise<string> {
    const { maxTokens = 512, temperature = 0.7, topP = 0.9, userId } = options;
    const body = { prompt, max_tokens: maxTokens, temperature, top_p: topP, user_id: userId };
    const headers = { 'content-type': 'application/json', 'idempotency-key': crypto.randomUUID() };
    const response = await this.#send('/generate', { method: 'POST', headers, body: JSON.stringify(body) });
    return ((await response.json()) as { task_id: string }).task_id;
  }

  /** What came of a task, or where it is. */
  async result(taskId: string): Promise<TaskResult> {
    return (await (await this.#send(`/result/${taskId}`)).json()) as TaskResult;
  }

  /** Cancels a task. */
  async cancel(taskId: string): Promise<void> {
    await this.#send(`/tasks/${taskId}`, { method: 'DELETE' });
  }

  /** Submits a task and yields its text as it comes. Throws LlmError when it fails, or its text begins anew. */
  async *stream(prompt: string, options: GenerateOptions = {}): AsyncGenerator<string> {
    const taskId = await this.submit(prompt, options);
    let hasText = false;
    for await (const event of this.events(taskId, options.signal)) {
      if (event.delta !== undefined) {
        hasText = true;
        yield event.delta;
      } else if (event.status === 'error') throw new LlmError(200, `${event.error_type}: ${event.error_message}`);
      else if (event.status === 'processing' && hasText) throw new LlmError(200, `the task ${taskId} runs again`);
    }
  }

  /** Yields the events of a task, once each; a connection that breaks is made again where it broke. */
  async *events(taskId: string, signal?: AbortSignal): AsyncGenerator<TaskEvent> {
    let lastEventId = '0';
    for (;;) {
      try {
        const headers = { 'last-event-id': lastEventId };
        const response = await this.#send(`/stream/${taskId}`, { headers, ...(signal ? { signal } : {}) });
        if (response.status === 204 || !response.body) return;
        for await (const { id, event } of eventsOf(response.body)) {
          lastEventId = id;
          yield event;
          if (event.status === 'completed' || event.status === 'error') return;
        }
      } catch (error) {
        if (error instanceof LlmError || signal?.aborted) throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, RECONNECT_MS));
    }
  }

  async #send(path: string, init: RequestInit = {}): Promise<Response> {
    for (let attempt = 0; ; attempt += 1) {
      try {
        const headers = { ...init.headers, 'x-api-key': this.#apiKey };
        const response = await fetch(this.#baseUrl + path, { ...init, headers });
        if (response.ok) return response;
        const text = await response.text();
        if (response.status !== 503 || attempt === RETRIES) throw new LlmError(response.status, detailOf(text));
      } catch (error) {
        if (error instanceof LlmError || init.signal?.aborted || attempt === RETRIES) throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, 500 * 2 ** attempt));
    }
  }
}

function detailOf(text: string): string {
  try {
    return String((JSON.parse(text) as { detail?: unknown }).detail ?? text);
  } catch {
    return text;
  }
}

async function* eventsOf(body: ReadableStream<Uint8Array>): AsyncGenerator<{ id: string; event: TaskEvent }> {
  const decoder = new TextDecoder();
  let buffered = '';
  let id = '0';
  for await (const chunk of body as unknown as AsyncIterable<Uint8Array>) {
    buffered += decoder.decode(chunk, { stream: true });
    const lines = buffered.split('\n');
    buffered = lines.pop() ?? '';
    for (const line of lines) {
      if (line.startsWith('id: ')) id = line.slice(4);
      else if (line.startsWith('data: ')) yield { id, event: JSON.parse(line.slice(6)) as TaskEvent };
    }
  }
}
