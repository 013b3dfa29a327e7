import { globSync } from 'node:fs';
import { request } from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { RANDOM_MODEL } from '../fixtures/embedded-engine.ts';
import { arrangements, startMesh, type TestMesh } from '../harness/mesh.ts';
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

describe.each(arrangements())('a client that leaves frees the embedded engine, %s', (arrangement) => {
  let mesh: TestMesh;
  let socketPath: string;
  beforeAll(async () => {
    mesh = await startMesh(arrangement, { args: ['--model', RANDOM_MODEL] });
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
      max_tokens: 4_000,
      stream,
    });
    const headers = { authorization: `Bearer ${mesh.adminKey}`, 'content-type': 'application/json' };
    const call = request(`${mesh.url}/v1/chat/completions`, { method: 'POST', headers });
    call.on('error', () => {
      // The test itself cuts the connection.
    });
    call.on('response', (response) => response.on('error', () => {}).resume());
    call.end(body);
    await eventually('the engine runs it', async () => (await runningOn(socketPath)) === 1);
    call.destroy();
    await eventually('the engine is idle', async () => (await runningOn(socketPath)) === 0, 1_000);
    expect(await runningOn(socketPath)).toBe(0);
  });
});
