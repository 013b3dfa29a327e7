import { Agent, request } from 'node:http';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { BROWSER_PATIENCE_MS, findBrowser, startBrowser } from '../harness/browser.ts';
import { eventually } from '../harness/processes.ts';
import { type RestAnswer, type RestClient, restClients } from '../harness/rest-clients.ts';
import { type Caller, type CompatMesh, callerOf, eventsOf, expectRateHeaders, startCompatMesh } from './compat-mesh.ts';

const KEY = 'queue-key-0123456789abcdefghijklmnopqrstuv';
const OTHER_KEY = 'other-key-0123456789abcdefghijklmnopqrstuv';

/** A test of a whole mesh on a machine that may do other work, in milliseconds. */
const PATIENCE_MS = 60_000;

let compat: CompatMesh;
beforeAll(async () => {
  // As its users start it; the bucket of their tier is a limit of its own test below.
  const env = { API_KEYS: `${KEY},${OTHER_KEY}`, MAX_NEW_TOKENS: '4', TEMPERATURE: '0.5', TASK_TIME_LIMIT: '30' };
  const tiers = { queue: { requests_bucket: { per_minute: 60, burst: 200 } } };
  compat = await startCompatMesh({ chat: 'org/queue-1' }, { env, config: { quota: { tiers } } });
});
afterAll(() => compat?.stop());

const uuid = expect.stringMatching(/^[0-9a-f]{32}$/);
const seconds = expect.any(Number);
const metrics = {
  ...{ queue_wait_time: seconds, processing_time: seconds, total_time: seconds, tokens_per_second: seconds },
  ...{ prompt_tokens: expect.any(Number), completion_tokens: 4 },
};
const TEXT = ' t0 t1 t2 t3';
const accepted = {
  status: 'queued',
  task_id: uuid,
  message: 'Your request is being processed. Use the task_id to check status.',
};

// System B: a queue of generations.
describe.each(restClients())('a task queue, through %s', { timeout: PATIENCE_MS }, (_name, startClient) => {
  let client: RestClient;
  let user: Caller;
  let stranger: Caller;
  const anonymous: Caller = (endpoint, call) => callerOf(client, compat.mesh.url)(endpoint, call);

  beforeAll(async () => {
    client = await startClient();
    user = callerOf(client, compat.mesh.url, { 'X-API-Key': KEY });
    stranger = callerOf(client, compat.mesh.url, { Authorization: `Bearer ${OTHER_KEY}` });
  });
  afterAll(() => client?.close());

  const refused = (status: number, error: string, detail: unknown) => ({
    status,
    json: { detail, error, status_code: status },
    headers: { 'x-request-id': expect.any(String) },
  });

  async function submitted(body: object = {}, headers: Record<string, string> = {}): Promise<string> {
    const answer = await user('POST /generate', { body: { prompt: 'The capital of France is', ...body }, headers });
    expect(answer).toMatchObject({ status: 202, json: accepted });
    expectRateHeaders(answer);
    return (answer.json as { task_id: string }).task_id;
  }

  const result = (taskId: string): Promise<RestAnswer & { json: unknown }> =>
    eventually('there is a result', async () => {
      const answer = await user(`GET /result/${taskId}`);
      return answer.status === 200 ? answer : undefined;
    });

  test('submit, status, result', async () => {
    await compat.engine('chat').script({ holdAtToken: 2 });
    const taskId = await submitted({ user_id: 'ann', unknown_field: 1 });
    await eventually('it runs', async () => {
      const { json } = await user(`GET /status/${taskId}`);
      return (json as { status: string }).status === 'processing';
    });
    const processing = { status: 'processing', task_id: taskId, message: expect.any(String) };
    const status = await user(`GET /status/${taskId}`);
    expect(status).toMatchObject({ status: 200, json: processing });
    expectRateHeaders(status);
    expect(await user(`GET /result/${taskId}`)).toMatchObject({ status: 202, json: processing });
    await compat.engine('chat').go();
    const completed = await result(taskId);
    expect(completed.json).toEqual({ status: 'completed', task_id: taskId, result: TEXT, metrics });
    expectRateHeaders(completed);
    expect((await user(`GET /status/${taskId}`)).json).toMatchObject({ status: 'completed', task_id: taskId });
    const { last } = await compat.engine('chat').counts();
    expect(last?.body).toMatchObject({ max_tokens: 4, temperature: 0.5, top_p: 0.9 });
  });

  test('bounds of the fields, and what is not there', async () => {
    const bad = [
      [{}, 'prompt'],
      [{ prompt: '' }, 'prompt'],
      [{ prompt: 'x', max_tokens: 0 }, 'max_tokens'],
      [{ prompt: 'x', max_tokens: 32_769 }, 'max_tokens'],
      [{ prompt: 'x', temperature: 2.1 }, 'temperature'],
      [{ prompt: 'x', top_p: 1.1 }, 'top_p'],
    ] as const;
    for (const [body, field] of bad) {
      const answer = await user('POST /generate', { body });
      expect(answer).toMatchObject(refused(400, 'Bad Request', expect.stringContaining(field)));
    }
    const calls = ['GET /status/nothing', 'GET /result/nothing', 'GET /stream/nothing', 'DELETE /tasks/nothing'];
    for (const call of calls) {
      expect(await user(call)).toMatchObject(refused(404, 'Not Found', 'Task not found'));
      expect(await anonymous(call)).toMatchObject(refused(401, 'Unauthorized', 'Invalid API key'));
    }
  });

  test('a task of somebody else does not exist', async () => {
    await compat.engine('chat').script({});
    const taskId = await submitted();
    for (const call of [`GET /status/${taskId}`, `GET /result/${taskId}`, `GET /stream/${taskId}`]) {
      expect(await stranger(call)).toMatchObject(refused(404, 'Not Found', 'Task not found'));
    }
    expect((await stranger(`DELETE /tasks/${taskId}`)).status).toBe(404);
    await result(taskId);
  });

  test('the stream of a task, from any event on, by header or query', async () => {
    await compat.engine('chat').script({ everyMs: 5 });
    const taskId = await submitted();
    const stream = await user(`GET /stream/${taskId}`, { stream: true });
    expect(stream).toMatchObject({ status: 200, headers: { 'content-type': 'text/event-stream; charset=utf-8' } });
    expectRateHeaders(stream);
    const events = eventsOf(stream) as { status: string; delta?: string }[];
    expect(events[0]).toEqual({ status: 'queued', task_id: taskId, message: expect.any(String) });
    expect(events[1]).toEqual({ status: 'processing', task_id: taskId, message: expect.any(String) });
    expect(events.map(({ delta = '' }) => delta).join('')).toBe(TEXT);
    expect(events.at(-1)).toEqual({ status: 'completed', result: TEXT, metrics });
    const ids = idsOf(stream);
    expect(ids).toEqual(events.map((_, i) => i + 1));
    const missed = partAfter(stream.text, 2).trimEnd();
    const again = [
      await user(`GET /stream/${taskId}`, { headers: { 'Last-Event-ID': '2' } }),
      await user(`GET /stream/${taskId}?last_event_id=2`),
      await anonymous(`GET /stream/${taskId}?api_key=${KEY}&last_event_id=2`),
    ];
    for (const { status, text } of again) expect([status, text.trimEnd()]).toEqual([200, missed]);
    const over = await user(`GET /stream/${taskId}?last_event_id=${ids.length}`);
    expect(over).toMatchObject({ status: 204, text: '' });
    expect((await user(`GET /stream/${taskId}?last_event_id=x`)).status).toBe(400);
  });

  test('a key in the URL is for streams alone', async () => {
    const taskId = await submitted();
    for (const call of [`GET /status/${taskId}`, `GET /result/${taskId}`, `DELETE /tasks/${taskId}`]) {
      expect((await anonymous(`${call}?api_key=${KEY}`)).status).toBe(400);
    }
    expect((await anonymous(`GET /stream/${taskId}?access_token=${KEY}`)).status).toBe(400);
    expect((await stranger(`GET /stream/${taskId}?api_key=${KEY}`)).status).toBe(400);
    expect((await anonymous(`GET /stream/${taskId}?api_key=nobody`)).status).toBe(401);
    await result(taskId);
  });

  test('cancelling, while it runs and after it', async () => {
    await compat.engine('chat').script({ holdAtToken: 1 });
    const taskId = await submitted();
    await eventually('it runs', async () => (await compat.engine('chat').counts()).running === 1);
    expect(await user(`DELETE /tasks/${taskId}`)).toMatchObject({
      ...{ status: 200, json: { status: 'failed', task_id: taskId, message: expect.any(String) } },
    });
    await eventually('the engine is free', async () => (await compat.engine('chat').counts()).running === 0);
    const failed = { status: 'error', task_id: taskId, error_message: expect.any(String), error_type: 'Cancelled' };
    expect((await result(taskId)).json).toEqual(failed);
    expect(eventsOf(await user(`GET /stream/${taskId}`, { stream: true })).at(-1)).toEqual(failed);
    expect(await user(`DELETE /tasks/${taskId}`)).toMatchObject({ status: 409 });
    // With the headers of every other call, as clients send them.
    const headers = { 'Content-Type': 'application/json' };
    expect(await user(`DELETE /tasks/${taskId}`, { headers })).toMatchObject({ status: 409 });
  });

  test('the same idempotency key is the same task', async () => {
    await compat.engine('chat').script({});
    const headers = { 'Idempotency-Key': `${_name} 1` };
    const taskId = await submitted({}, headers);
    expect(await submitted({}, headers)).toBe(taskId);
    const other = await user('POST /generate', { body: { prompt: 'another' }, headers });
    expect(other).toMatchObject(refused(409, 'Conflict', expect.any(String)));
    await result(taskId);
  });
});

test('HEAD of a stream is answered with its head, while the task runs', { timeout: PATIENCE_MS }, async () => {
  await compat.engine('chat').script({ holdAtToken: 1 });
  const headers = { 'x-api-key': KEY, 'content-type': 'application/json' };
  const body = JSON.stringify({ prompt: 'hi' });
  const answer = await fetch(`${compat.mesh.url}/generate`, { method: 'POST', headers, body });
  const { task_id: taskId } = (await answer.json()) as { task_id: string };
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const statusOf = (method: string, path: string): Promise<number | undefined> =>
    new Promise((resolve, reject) => {
      const sent = request(
        `${compat.mesh.url}${path}`,
        { method, headers: { 'x-api-key': KEY }, agent },
        (response) => {
          response.resume().on('end', () => resolve(response.statusCode));
        },
      );
      sent.on('error', reject).end();
    });
  // The second one waits for the connection of the first.
  expect(await statusOf('HEAD', `/stream/${taskId}`)).toBe(200);
  expect(await statusOf('GET', `/status/${taskId}`)).toBe(200);
  agent.destroy();
  await compat.engine('chat').go();
});

test('over the limit of the tier: 429 in the words of the queue', { timeout: PATIENCE_MS }, async () => {
  const env = { API_KEYS: KEY };
  const limited = await startCompatMesh({ chat: 'org/queue-1' }, { env });
  try {
    const [[, start] = expect.fail('no client')] = restClients();
    const user = callerOf(await start(), limited.mesh.url, { 'X-API-Key': KEY });
    let answer: RestAnswer & { json: unknown } = await user('POST /generate', { body: { prompt: 'x', max_tokens: 1 } });
    expect(answer.headers).toMatchObject({ 'x-ratelimit-limit-minute': '60', 'x-ratelimit-remaining-minute': '9' });
    for (let i = 0; i < 30 && answer.status === 202; i += 1) {
      answer = await user('POST /generate', { body: { prompt: 'x', max_tokens: 1 } });
    }
    expect(answer).toMatchObject({
      status: 429,
      json: { error: 'Rate limit exceeded', status_code: 429, detail: expect.stringContaining('Rate limit exceeded') },
      headers: { 'retry-after': expect.stringMatching(/^\d+$/), 'x-ratelimit-limit-minute': '60' },
    });
  } finally {
    await limited.stop();
  }
});

const executable = findBrowser();
describe.skipIf(executable === undefined)('in a browser', { timeout: BROWSER_PATIENCE_MS }, () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await startBrowser(executable ?? '');
  }, BROWSER_PATIENCE_MS);
  afterAll(() => browser?.close());

  test('an EventSource reads a task to its end, and comes back for the rest', async () => {
    await compat.engine('chat').script({ everyMs: 20 });
    const { url } = compat.mesh;
    const body = { prompt: 'hi', max_tokens: 20 };
    const answer = await fetch(`${url}/generate`, {
      method: 'POST',
      headers: { 'x-api-key': KEY, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    const { task_id: taskId } = (await answer.json()) as { task_id: string };
    const page = await browser.newPage();
    await page.goto(`${url}/docs`);
    const events = await page.evaluate(
      ([address = '']) =>
        new Promise<string[]>((resolve) => {
          const seen: string[] = [];
          const source = new EventSource(address);
          source.onmessage = ({ data }) => seen.push(data);
          // It is told 204 when it comes back after the last event, and then gives up.
          source.onerror = () => {
            if (source.readyState === EventSource.CLOSED) resolve(seen);
          };
        }),
      [`${url}/stream/${taskId}?api_key=${KEY}`],
    );
    const parsed = events.map((data) => JSON.parse(data) as { status: string; delta?: string; result?: string });
    expect(parsed.map(({ delta = '' }) => delta).join('')).toBe(parsed.at(-1)?.result);
    expect(parsed.filter(({ status }) => status === 'completed')).toHaveLength(1);
  });
});

function idsOf({ text }: RestAnswer): number[] {
  return [...text.matchAll(/^id: (\d+)$/gm)].map(([, id]) => Number(id));
}

/** What of a stream comes after one of its events. */
function partAfter(text: string, eventId: number): string {
  return text.slice(text.indexOf(`id: ${eventId + 1}\n`));
}
