import { globSync } from 'node:fs';
import { request } from 'node:http';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, test } from 'vitest';
import { RANDOM_MODEL } from '../fixtures/embedded-engine.ts';
import { eventuallyBefore } from '../harness/answers.ts';
import { arrangements, startMesh, type TestMesh } from '../harness/mesh.ts';
import { stretched } from '../harness/patience.ts';
import { eventually } from '../harness/processes.ts';

/** What the embedded engine itself says that it runs, asked on its own socket past the mesh. */
function runningOn(socketPath: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const call = request({ socketPath, path: '/health' }, (response) => {
      let body = '';
      response.on('data', (chunk: Buffer) => {
        body += chunk.toString();
      });
      response.on('end', () => resolve(JSON.parse(body).requests_running));
    });
    call.on('error', reject);
    call.end();
  });
}

/** So many last many times as long as an engine may go on that nobody waits for. */
const MAX_TOKENS = 60_000;

describe.each(arrangements())('a client that leaves frees the embedded engine, %s', (arrangement) => {
  let mesh: TestMesh;
  let socketPath: string;
  beforeAll(async () => {
    const models = [{ name: 'tiny', engine: 'llama.cpp', model: RANDOM_MODEL, max_model_len: 65_536, required: true }];
    mesh = await startMesh(arrangement, { config: { inference: { models } } });
    socketPath =
      globSync('run/*/*.sock', { cwd: mesh.dataDir('inference') }).map(
        (name) => `${mesh.dataDir('inference')}/${name}`,
      )[0] ?? '';
  });
  afterAll(() => mesh.stop());

  test.each([
    ['in mid-stream', true, 20],
    ['on a non-streaming call', false, 20],
    ['with a long prompt', true, 3_000],
  ])('%s', async (_moment, stream, promptLength) => {
    const body = JSON.stringify({
      messages: [{ role: 'user', content: 'words '.repeat(promptLength / 6) }],
      temperature: 0,
      max_tokens: MAX_TOKENS,
      stream,
    });
    const headers = { authorization: `Bearer ${mesh.adminKey}`, 'content-type': 'application/json' };
    const { promise: over, resolve } = Promise.withResolvers<string>();
    const call = request(`${mesh.url}/v1/chat/completions`, { method: 'POST', headers });
    call.on('error', (error) => resolve(String(error)));
    call.on('response', (response) => {
      text(response).then(
        (answer) => resolve(`${response.statusCode} ${answer}`),
        (error) => resolve(String(error)),
      );
    });
    call.end(body);
    const running = () => runningOn(socketPath);
    await eventuallyBefore({ over }, 'the engine runs it', async () => (await running()) === 1);
    call.destroy();
    await eventually('the engine is idle', async () => (await running()) === 0, stretched(1_000));
  });
});
