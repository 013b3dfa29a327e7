import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createClient } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-node';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { RouterService } from '../../gen/mesh/router/v1/router_service_pb.ts';
import { eventually, freePort, type RunningProgram, startProgram } from '../harness/processes.ts';

const node = resolve(import.meta.dirname, '../../bin/node.sh');
const main = resolve(import.meta.dirname, '../../services/main.ts');
const STRONG = 'sk-1a2b3c4d5e6f7g8h9i0jklmnopq';
const WEAK = 'dev-key';
const TOKEN = 'test-token-0123456789abcdef0123456789abcdef';
const READY_MS = 100_000;

let directory: string;
let programs: RunningProgram[];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'mesh-'));
  programs = [];
});
afterEach(async () => {
  await Promise.all(programs.map((program) => program.stop('SIGKILL')));
  rmSync(directory, { recursive: true });
});

function start(name: string, env: Record<string, string>): RunningProgram {
  const args = [node, main, '--model', 'none', '--data-dir', join(directory, name)];
  const program = startProgram('sh', args, { MESH_TOKEN: TOKEN, ...env }, directory);
  programs.push(program);
  return program;
}

test('a facade that others reach accepts no weak key, though auth is bound to loopback', async () => {
  const [inner, open, closed] = [await freePort(), await freePort(), await freePort()];
  const peers = Object.fromEntries(
    ['AUTH', 'QUOTA', 'ROUTER', 'TASKS'].map((role) => [`MESH_PEER_${role}`, `http://127.0.0.1:${inner}`]),
  );
  const auth = start('inner', {
    MESH_ROLES: 'auth,quota,router,tasks',
    MESH_PORT: String(inner),
    API_KEYS: `${WEAK},${STRONG}`,
  });
  start('open', { ...peers, MESH_ROLES: 'facade', MESH_HOST: '0.0.0.0', MESH_PORT: String(open) });
  start('closed', { ...peers, MESH_ROLES: 'facade', MESH_PORT: String(closed) });

  const rest = async (port: number, key: string): Promise<number> =>
    (await fetch(`http://127.0.0.1:${port}/v1/models`, { headers: { 'x-api-key': key } })).status;
  const rpc = (port: number, key: string): Promise<string> => {
    const transport = createConnectTransport({ baseUrl: `http://127.0.0.1:${port}`, httpVersion: '1.1' });
    const call = createClient(RouterService, transport).listModels({}, { headers: { 'x-api-key': key } });
    return call.then(
      () => 'OK',
      (error: unknown) => String(error),
    );
  };
  for (const port of [open, closed]) {
    await eventually('the strong key counts', async () => (await rest(port, STRONG)) === 200, READY_MS);
    expect(await rpc(port, STRONG)).toBe('OK');
  }
  expect([await rest(closed, WEAK), await rpc(closed, WEAK)]).toEqual([200, 'OK']);
  expect([await rest(open, WEAK), await rpc(open, WEAK)]).toEqual([
    401,
    expect.stringMatching(/unauthenticated.*Invalid API key/),
  ]);
  await eventually('auth says why', () => auth.output().includes('a key that can be guessed was refused'));
  expect(auth.output()).not.toContain(WEAK);
});
