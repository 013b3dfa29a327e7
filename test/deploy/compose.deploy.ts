import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually } from '../harness/processes.ts';
import { type ComposeHost, missingForContainers, startComposeHost } from './compose-host.ts';
import { isThere } from './tools.ts';

const missing = missingForContainers();
if (missing) console.log(`skipped: the compose file as processes needs ${missing}`);

describe.skipIf(missing)('docker-compose.yml, profile cpu, as processes', () => {
  let host: ComposeHost;
  let adminKey: string;

  beforeAll(async () => {
    host = await startComposeHost('cpu');
    if (host.absent.length > 0) console.log(`not run, their programs are not here: ${host.absent.join(', ')}`);
    adminKey = host.containers.get('auth')?.exec(['cat', '/var/lib/inference-mesh/admin.key']).output.trim() ?? '';
    await eventually('the mesh is ready', () => curl('/readyz').startsWith('200 '), 240_000);
  });
  afterAll(async () => await host?.stop());

  /** "status body" of a request to the published port of nginx. */
  function curl(path: string, ...more: string[]): string {
    const resolved = ['--resolve', 'localhost:8443:172.30.240.2', '--insecure', '-sS', '-w', '\n%{http_code}', ...more];
    const { output } = host.run(['curl', ...resolved, `https://localhost:8443${path}`]);
    const at = output.lastIndexOf('\n');
    return `${output.slice(at + 1)} ${output.slice(0, at)}`;
  }

  // The engines' process binds the address that its name has, and nothing else.
  const metricsHost = (name: string): string => (name.startsWith('inference') ? 'inference' : '127.0.0.1');

  const chat = (stream: boolean): string[] => [
    ...['-N', '-H', `Authorization: Bearer ${adminKey}`, '-H', 'Content-Type: application/json'],
    ...[
      '-d',
      JSON.stringify({ model: 'chat', messages: [{ role: 'user', content: 'Hello!' }], max_tokens: 16, stream }),
    ],
  ];

  test('a streamed request goes through nginx, gateway, auth, quota and the engine', () => {
    const answer = curl('/v1/chat/completions', ...chat(true));
    expect(answer).toMatch(/^200 /);
    // How many tokens are in one event depends on how busy the machine is.
    expect(answer).toMatch(/^(?:200 )?data: \{.*"delta":\{.*"content":"[^"]/m);
    expect(answer).toContain('data: [DONE]');
  });

  test('a task is queued, run and kept', async () => {
    const submitted = curl(
      '/generate',
      ...chat(false).slice(0, 5),
      '-d',
      JSON.stringify({ prompt: 'Hello', max_tokens: 8 }),
    );
    expect(submitted).toMatch(/^202 /);
    const { task_id: id } = JSON.parse(submitted.slice(4)) as { task_id: string };
    const done = await eventually('the task is done', () => {
      const result = curl(`/result/${id}`, '-H', `Authorization: Bearer ${adminKey}`);
      return result.startsWith('200 ') && result;
    });
    expect(done).toContain('"completed"');
  });

  test('each role tells its metrics on a port of its own and writes its log into its volume', () => {
    for (const container of host.containers.values()) {
      if (!container.exec(['ls', '/app/services']).output.includes('main.ts')) continue;
      const { name } = container;
      const metrics = container.exec(['curl', '-sS', `http://${metricsHost(name)}:9090/metrics`]).output;
      expect([name, metrics]).toEqual([name, expect.stringMatching(/^# (HELP|TYPE) /m)]);
      expect([name, container.exec(['ls', '/var/log/llm-api']).output]).toEqual([name, expect.stringContaining('app')]);
    }
  });

  test.skipIf(!isThere('prometheus'))('Prometheus scrapes every role', async () => {
    const prometheus = host.containers.get('prometheus');
    const up = await eventually('all are up', () => {
      const query = ['curl', '-sS', 'http://127.0.0.1:9090/api/v1/query?query=up'];
      const { data } = JSON.parse(prometheus?.exec(query).output ?? '') as {
        data: { result: { metric: { instance: string }; value: [number, string] }[] };
      };
      const isUp = data.result.length === 5 && data.result.every(({ value }) => value[1] === '1');
      return isUp ? data.result : undefined;
    });
    expect(up.map(({ metric }) => metric.instance)).toContain('inference:9090');
  });

  test('port 80 leads to https, metrics are closed', () => {
    const { output } = host.run([
      'curl',
      '-sS',
      '-i',
      '-H',
      'Host: chat.example.com',
      'http://172.30.240.2:8080/v1/models',
    ]);
    expect(output).toMatch(/^HTTP\/1.1 308/);
    expect(output).toContain('Location: https://chat.example.com/v1/models');
    expect(curl('/metrics')).toMatch(/^404 /);
    expect(curl('//metrics')).toMatch(/^404 /);
  });

  test('the gateway takes nobody but nginx without TLS', () => {
    const { output } = host.run(['curl', '-sS', '-i', 'http://172.30.240.3:8000/v1/models']);
    expect(output).toMatch(/^HTTP\/1.1 403/);
  });

  test('nothing runs as root, with a capability, or writes beside its volumes', () => {
    for (const container of host.containers.values()) {
      const { name } = container;
      expect([name, container.status('Uid').split(/\s+/)[0]]).not.toEqual([name, '0']);
      expect([name, BigInt(`0x${container.status('CapEff')}`)]).toEqual([name, 0n]);
      expect([name, BigInt(`0x${container.status('CapBnd')}`)]).toEqual([name, 0n]);
      expect([name, container.status('NoNewPrivs')]).toEqual([name, '1']);
      // Root without a bound could not either.
      const { status, output } = container.exec(['touch', '/usr/share/x'], { asRoot: true });
      expect([name, status]).toEqual([name, 1]);
      expect(output).toContain('Read-only file system');
    }
  });

  test('each says of itself that it is healthy, and no longer when it is gone', async () => {
    for (const container of host.containers.values())
      expect([container.name, container.isHealthy()]).toEqual([container.name, true]);
    const inference = host.containers.get('inference-cpu');
    expect(await inference?.stop('SIGTERM')).toBe(0);
    expect(inference?.isHealthy()).toBe(false);
  });

  test('what is asked to stop ends with 0', async () => {
    for (const name of ['nginx', 'gateway', 'tasks', 'quota', 'auth', 'redis']) {
      const code = await host.containers.get(name)?.stop(name === 'nginx' ? 'SIGQUIT' : 'SIGTERM');
      expect([name, code]).toEqual([name, 0]);
    }
  });
});
