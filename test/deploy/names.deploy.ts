import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFailed, test } from 'vitest';
import { EngineState } from '../../gen/mesh/inference/v1/engine_pb.ts';
import { startFakeEngine } from '../engines/fake-engine.ts';
import { chat, engineStates, newPayer, type PublicPort, textOf, tokenTexts } from '../faults/caller.ts';
import { eventually, freePort, type RunningProgram, startProgram } from '../harness/processes.ts';
import { ROOT } from './compose-file.ts';

const TOKENS = 12;

const hasNamespaces = spawnSync('unshare', ['--mount', 'mount', '--make-rprivate', '/']).status === 0;
if (!hasNamespaces) console.log('skipped: names of routers need a mount namespace');

// One address each of the loopback network, one port: as pods behind a Service without an address of its own.
describe.skipIf(!hasNamespaces)('gateways behind a name', () => {
  const directory = mkdtempSync(join(tmpdir(), 'mesh-names-'));
  const hosts = join(directory, 'hosts');
  const programs = new Map<string, RunningProgram>();
  const gateways: PublicPort[] = [];
  let engine: Awaited<ReturnType<typeof startFakeEngine>>;
  let port: number;

  /** Who is behind the name. The file stays the same one: it is mounted. */
  const name = (...addresses: string[]): void =>
    writeFileSync(hosts, ['127.0.0.1 localhost', ...addresses.map((address) => `${address} gateways`)].join('\n'));

  function start(
    program: string,
    roles: string,
    { config, flags, env }: { config: object; flags: string[]; env: Record<string, string> },
    before: string[] = [],
  ): void {
    const file = join(directory, `${program}.json`);
    writeFileSync(file, JSON.stringify(config));
    const main = ['--max-semi-space-size=8', '--disable-warning=ExperimentalWarning', join(ROOT, 'services/main.ts')];
    const own = ['--roles', roles, '--config', file, '--data-dir', join(directory, program), ...flags];
    const [command = process.execPath, ...args] = [...before, process.execPath, ...main, ...own];
    const token = { MESH_TOKEN: 'test-token-0123456789abcdef0123456789abcdef' };
    programs.set(program, startProgram(command, args, { ...token, ...env }, directory));
  }

  async function startGateway(host: string, roles: string, env: Record<string, string> = {}): Promise<void> {
    const config = { inference: { devices: 'none' } };
    start(host, roles, { config, flags: ['--host', host, '--port', String(port), '--model', 'none'], env });
    // Ready it is when it knows an engine.
    await eventually(`${host} is up`, async () => (await fetch(`http://${host}:${port}/readyz`)).status > 0);
  }

  const knows = (gateway: PublicPort | undefined): Promise<boolean> =>
    eventually(
      'a gateway knows the engine',
      async () => gateway !== undefined && (await engineStates(gateway)).includes(EngineState.READY),
    );

  beforeAll(async () => {
    port = await freePort();
    engine = await startFakeEngine({ continues: true });
    await startGateway('127.0.0.2', 'auth,quota,router,tasks,facade');
    const adminKey = readFileSync(join(directory, '127.0.0.2', 'admin.key'), 'utf8').trim();
    for (const host of ['127.0.0.2', '127.0.0.3']) gateways.push({ url: `http://${host}:${port}`, adminKey });
    name('127.0.0.2');
    const model = { name: 'twin', engine: 'openai', model: 'twin', base_url: engine.baseUrl };
    const mounted = ['mount --make-rprivate /', 'mount --bind "$0" /etc/hosts', 'exec "$@"'].join(' && ');
    const config = { inference: { node: 'node', devices: 'none', models: [model] } };
    const env = { MESH_PEER_ROUTER: `dns+http://gateways:${port}`, MESH_PEER_AUTH: gateways[0]?.url ?? '' };
    const flags = ['--port', String(await freePort()), '--model', 'none'];
    start('node', 'inference', { config, flags, env }, ['unshare', '--mount', 'sh', '-c', mounted, hosts]);
  });
  afterAll(async () => {
    await Promise.all([...programs.values()].map((program) => program.stop()));
    await engine?.stop();
    rmSync(directory, { recursive: true, force: true });
  });

  async function serves(gateway: PublicPort | undefined): Promise<string> {
    if (!gateway) throw new Error('there is no such gateway');
    const payer = await newPayer(gateway);
    return textOf(await (await chat(gateway, payer, { max_tokens: TOKENS })).text());
  }

  test('one that comes is told of the engines and serves; one that goes is told no more; the others go on', async () => {
    onTestFailed(() => {
      for (const [program, { output }] of programs) console.log(program, output());
    });
    const [first, second] = gateways;
    await knows(first);
    const peer = first?.url ?? '';
    await startGateway('127.0.0.3', 'router,facade', {
      ...{ MESH_PEER_AUTH: peer, MESH_PEER_QUOTA: peer, MESH_PEER_TASKS: peer },
    });
    name('127.0.0.2', '127.0.0.3');
    await knows(second);
    expect(await serves(second)).toBe(tokenTexts(TOKENS));

    name('127.0.0.2');
    expect(await programs.get('127.0.0.3')?.stop()).toBe(0);
    programs.delete('127.0.0.3');
    expect(await serves(first)).toBe(tokenTexts(TOKENS));
    await eventually('the node says who went', () => /"went":\["127\.0\.0\.3"\]/.test(nodeOutput()));

    // A name that nobody knows any more, as while its server is away.
    name();
    await eventually('the look-up fails', () => nodeOutput().includes('a name cannot be looked up'));
    expect(await serves(first)).toBe(tokenTexts(TOKENS));
  });

  const nodeOutput = (): string => programs.get('node')?.output() ?? '';
});
