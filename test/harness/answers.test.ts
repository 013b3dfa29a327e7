import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { eventuallyBefore, sendUntilStored } from './answers.ts';

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

interface Answering {
  ask(): Promise<Response>;
  release(): void;
}

type Answer = readonly [status: number, body: string, endless?: 'endless'];

/** A server that gives these answers in turn; `release` lets the first one leave. */
async function answering(answers: readonly Answer[]): Promise<Answering> {
  const gate = Promise.withResolvers<void>();
  let count = 0;
  const server = createServer(async (_request, response) => {
    const [status, body, endless] = answers[Math.min(count++, answers.length - 1)] ?? [500, ''];
    if (count === 1) await gate.promise;
    response.writeHead(status).write(body);
    if (!endless) response.end();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  closers.push(() => server.close().closeAllConnections());
  return { ask: () => fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}`), release: gate.resolve };
}

const never = () => false;

test('an early answer fails at once, with its status and body', async () => {
  const { ask, release } = await answering([[503, 'No healthy backends']]);
  release();
  const waiting = ask();
  const held = eventuallyBefore({ waiting }, 'both run', never);
  await expect(held).rejects.toThrow('waiting was over before this held: both run: 503 No healthy backends');
});

test('so does a stream without an end', async () => {
  const { ask, release } = await answering([[200, 'data: first', 'endless']]);
  release();
  const waiting = ask();
  await expect(eventuallyBefore({ waiting }, 'both run', never)).rejects.toThrow('200 data: first');
});

test('so does a body that ends, and a request that fails', async () => {
  const ended = eventuallyBefore({ started: Promise.resolve('data: [DONE]') }, 'both run', never);
  await expect(ended).rejects.toThrow('started was over before this held: both run: data: [DONE]');
  await expect(eventuallyBefore({ waiting: Promise.reject(new Error('reset')) }, 'x', never)).rejects.toThrow('reset');
});

test("an answer that comes afterwards is the test's own", async () => {
  const { ask, release } = await answering([[503, 'lost']]);
  const waiting = ask();
  expect(await eventuallyBefore({ waiting }, 'it holds', () => 7)).toBe(7);
  release();
  expect(await (await waiting).text()).toBe('lost');
});

test('what the store was too late for is sent again, nothing else', async () => {
  const late: Answer = [503, '{"detail":"The store does not answer. Try again shortly."}'];
  const first = await answering([late, late, [200, 'taken']]);
  first.release();
  expect(await (await sendUntilStored(first.ask)).text()).toBe('taken');
  const other = await answering([[503, 'No healthy backends'], late]);
  other.release();
  expect(await (await sendUntilStored(other.ask)).text()).toBe('No healthy backends');
});
