/**
 * How long after `RevokeApiKey` is called a key is refused at two gateways, and its running streams are cut: six processes
 * (two gateways, each with an auth process of its own, one Redis, one engine), all on this machine.
 * Usage: npm run bench:revocation [-- --repetitions 20]
 * Exit codes: 0 the goal was reached, 1 it was missed, 2 there is no redis-server.
 */
import { parseArgs } from 'node:util';
import { createClient } from '@connectrpc/connect';
import { AuthService } from '../gen/mesh/auth/v1/auth_service_pb.ts';
import { createRemoteTransport } from '../services/shared/transport/remote-transport.ts';
import { startFakeEngine } from '../test/engines/fake-engine.ts';
import { startGateways } from '../test/harness/gateways.ts';
import { hasRedis } from '../test/harness/redis.ts';
import { describeMachine } from './harness/machine.ts';
import { summarize } from './harness/statistics.ts';

/** What a revocation may take to reach everybody, in milliseconds. */
const GOAL_MS = 250;

const { values: options } = parseArgs({ options: { repetitions: { type: 'string', default: '20' } } });
if (!hasRedis()) {
  console.error('redis-server is not installed');
  process.exit(2);
}

const engine = await startFakeEngine({ atToken: 5, tokens: 50, fault: 'hang' });
const models = [{ name: 'fake', engine: 'openai', base_url: engine.baseUrl, required: true }];
const mesh = await startGateways({ inference: { models, devices: 'none' } }, true);
const transport = createRemoteTransport(mesh.authUrl, {
  meshToken: undefined,
  interceptors: [
    (next) => (request) => {
      request.header.set('authorization', `Bearer ${mesh.adminKey}`);
      return next(request);
    },
  ],
});
const auth = createClient(AuthService, transport);

const asked: number[] = [];
const refused: number[] = [];
const cut: number[] = [];

async function isAccepted(url: string, key: string): Promise<boolean> {
  const answer = await fetch(`${url}/v1/models`, { headers: { 'x-api-key': key } });
  await answer.text();
  return answer.status === 200;
}

/** Asks until it is refused; notes when that answer had arrived, and how long the others took. */
async function untilRefused(url: string, key: string, sinceMs: number): Promise<void> {
  for (;;) {
    const beginMs = performance.now();
    const accepted = await isAccepted(url, key);
    const endMs = performance.now();
    if (!accepted) return void refused.push(endMs - sinceMs);
    asked.push(endMs - beginMs);
  }
}

/** A stream that has begun; call what it resolves to for when it has ended. */
async function startStream(url: string, key: string): Promise<(sinceMs: number) => Promise<void>> {
  const messages = [{ role: 'user', content: 'hi' }];
  const answer = await fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'x-api-key': key, 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'fake', messages, max_tokens: 50, stream: true }),
  });
  const reading = answer.body?.getReader();
  await reading?.read();
  return async (sinceMs) => {
    for (let part = await reading?.read(); !part?.done; part = await reading?.read());
    cut.push(performance.now() - sinceMs);
  };
}

async function revokeOne(): Promise<void> {
  const { apiKey, secret } = await auth.createApiKey({});
  const streams = await Promise.all(mesh.urls.map((url) => startStream(url, secret)));
  const keyId = apiKey?.keyId ?? '';
  const sinceMs = performance.now();
  await Promise.all([
    auth.revokeApiKey({ keyId, cutRunningStreams: true }),
    ...mesh.urls.map((url) => untilRefused(url, secret, sinceMs)),
    ...streams.map((ended) => ended(sinceMs)),
  ]);
}

function row(what: string, values: readonly number[], goal: string): string {
  const { median, min, max } = summarize(values);
  const [middle, low, high] = [median, min, max].map((ms) => ms.toPrecision(3));
  return `| ${what} | ${middle} (${low}–${high}) | ${goal} |`;
}

try {
  for (let i = 0; i < Number(options.repetitions); i += 1) await revokeOne();
  console.log(`${JSON.stringify(describeMachine())}\n\n| what | ms | goal |\n|---|--:|--:|`);
  console.log(row('baseline: a request that is accepted', asked, ''));
  console.log(row('a request is refused', refused, `≤ ${GOAL_MS}`));
  console.log(row('a running stream has ended', cut, `≤ ${GOAL_MS}`));
  if (Math.max(...refused, ...cut) > GOAL_MS) process.exitCode = 1;
} finally {
  transport.close();
  await mesh.stop();
  await engine.stop();
}
