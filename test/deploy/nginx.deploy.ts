import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually, type RunningProgram } from '../harness/processes.ts';
import { ROOT } from './compose-file.ts';
import { missingForContainers } from './compose-host.ts';
import { CALLERS, type NginxHost, SERVER, startNginxHost } from './nginx-host.ts';

const missing = missingForContainers();
if (missing) console.log(`skipped: nginx in front of a mesh needs ${missing}`);

/** Enough for every request of these tests but those that are to be refused. */
const PER_IP = { requests_per_day: 12 };
const BUF = join(ROOT, 'node_modules/.bin/buf');
const SERVICE = `https://${SERVER}/mesh.router.v1.RouterService/Generate`;

describe.skipIf(missing)('nginx on a host, in front of a mesh', () => {
  let host: NginxHost;
  let key: string;

  beforeAll(async () => {
    host = await startNginxHost({
      server: { require_https: true },
      quota: { per_ip: PER_IP },
      inference: { models: [{ name: 'held', engine: 'openai', base_url: 'http://127.0.0.1:9000/v1', required: true }] },
    });
    const made = rpc('grpc', 'mesh.auth.v1.AuthService/CreateApiKey', host.adminKey, {
      name: 'test',
      tier: 'standard',
    });
    if (made.status !== 0) throw new Error(made.output);
    key = (JSON.parse(made.output) as { secret: string }).secret;
  });
  afterAll(async () => await host?.stop());

  function rpc(protocol: string, method: string, credential: string, message: object) {
    const words = [
      BUF,
      'curl',
      '--insecure',
      '--schema',
      ROOT,
      '--protocol',
      protocol,
      '-H',
      `Authorization: Bearer ${credential}`,
    ];
    return host.asCaller([...words, '-d', JSON.stringify(message), `https://${SERVER}/${method}`]);
  }

  const body = JSON.stringify({ model: 'held', messages: [{ role: 'user', content: 'Go' }], stream: true });

  function chat(from: string, ...more: string[]): string[] {
    const head = ['curl', '-sSkN', '--interface', from, '-H', 'Content-Type: application/json'];
    const url = `https://${SERVER}/v1/chat/completions`;
    return [...head, '-H', `Authorization: Bearer ${key}`, '-d', body, '-w', '\n%{http_code}', ...more, url];
  }

  const held = (): number => Number(host.onHost(['curl', '-s', 'http://127.0.0.1:9000/held']).output);
  const release = (): void => void host.onHost(['curl', '-s', 'http://127.0.0.1:9000/release']);
  /** A request that the engine answers: what held it back is let go. */
  async function whole(command: string[]): Promise<string> {
    const running = host.startAsCaller(command);
    await eventually('it is held or refused', () => held() > 0 || running.child.exitCode !== null);
    release();
    await eventually('it ended', () => running.child.exitCode !== null);
    return running.output();
  }

  /** Waits until a program printed it, or ended. */
  async function shows({ child, output }: RunningProgram, text: string): Promise<void> {
    await eventually(`'${text}' is there`, () => output().includes(text) || child.exitCode !== null);
    expect(output()).toContain(text);
  }

  test.each([
    ['SSE over HTTP/2', '--http2'],
    ['SSE over HTTP/1.1', '--http1.1'],
  ])('%s: the first token passes before the second is made', async (_, version) => {
    const running = host.startAsCaller(chat(CALLERS[0], version));
    await shows(running, 'first');
    expect(running.output()).not.toContain('second');
    expect(held()).toBe(1);
    release();
    await eventually('the stream ends', () => running.output().includes('[DONE]'));
    expect(running.output()).toContain('second');
  });

  test.each(['grpc', 'grpcweb', 'connect'])(
    '%s: the first token passes before the second is made',
    async (protocol) => {
      const words = [
        BUF,
        'curl',
        '--insecure',
        '--schema',
        ROOT,
        '--protocol',
        protocol,
        '-H',
        `Authorization: Bearer ${host.adminKey}`,
      ];
      const message = JSON.stringify({
        model: 'held',
        prompt: { chat: { messages: [{ role: 'ROLE_USER', parts: [{ text: 'Go' }] }] } },
      });
      const running = host.startAsCaller([...words, '-d', message, SERVICE]);
      await eventually('the first token is here', () => {
        if (running.child.exitCode !== null) throw new Error(running.output());
        return running.output().includes('first');
      });
      expect(running.output()).not.toContain('second');
      release();
      await eventually('the call ends', () => running.child.exitCode !== null);
      expect(running.output()).toContain('second');
      expect(running.child.exitCode).toBe(0);
    },
  );

  test('reflection, which talks in both directions at once, passes', () => {
    const { output } = host.asCaller([
      BUF,
      'curl',
      '--insecure',
      '--protocol',
      'grpc',
      '--list-services',
      `https://${SERVER}`,
    ]);
    expect(output).toContain('mesh.router.v1.RouterService');
  });

  test('errors of RPCs keep their code through nginx, by trailers and without', () => {
    for (const protocol of ['grpc', 'grpcweb', 'connect']) {
      const { status, output } = rpc(protocol, 'mesh.router.v1.RouterService/ListModels', 'sk-nobody', {});
      expect([protocol, status === 0]).toEqual([protocol, false]);
      expect([protocol, output]).toEqual([protocol, expect.stringContaining('unauthenticated')]);
    }
  });

  test('a caller who leaves ends the generation', async () => {
    const running = host.startAsCaller(chat(CALLERS[0]));
    await shows(running, 'first');
    await running.stop('SIGKILL');
    await eventually('nothing runs any more', () => {
      const { output } = host.onHost([
        'curl',
        '-s',
        '-H',
        `Authorization: Bearer ${host.adminKey}`,
        'http://127.0.0.1:8000/status',
      ]);
      return !/"running":\s*[1-9]/.test(output);
    });
    release();
  });

  test('the mesh knows callers by their own address, and nobody can pretend another', async () => {
    const answers: string[] = [];
    for (let sent = 0; sent <= PER_IP.requests_per_day; sent += 1) answers.push(await whole(chat(CALLERS[1])));
    expect(answers.slice(0, -1).filter((answer) => !answer.endsWith('200'))).toEqual([]);
    expect(answers.at(-1)).toMatch(/address[\s\S]*429$/i);
    // The header of a caller is not believed.
    expect(await whole(chat(CALLERS[1], '-H', 'X-Forwarded-For: 203.0.113.9'))).toMatch(/429$/);
    // Another caller is another one.
    expect(await whole(chat(CALLERS[2]))).toMatch(/200$/);
  });

  test('behind a load balancer that is named, the caller is who the balancer says', async () => {
    host.trust(`set_real_ip_from ${CALLERS[1]};\nreal_ip_header X-Forwarded-For;\nreal_ip_recursive on;\n`);
    await eventually('nginx believes the balancer', async () =>
      (await whole(chat(CALLERS[1], '-H', 'X-Forwarded-For: 203.0.113.9'))).endsWith('200'),
    );
    // What stands before the last address that the balancer saw was written by the caller.
    const spoofed = ['-H', `X-Forwarded-For: 198.51.100.7, ${CALLERS[1]}, 203.0.113.9`];
    for (let sent = 0; sent < PER_IP.requests_per_day; sent += 1) await whole(chat(CALLERS[1], ...spoofed));
    expect(await whole(chat(CALLERS[1], ...spoofed))).toMatch(/429$/);
    expect(await whole(chat(CALLERS[3], ...spoofed))).toMatch(/200$/);
  });

  /** Sends requests as fast as they go. */
  function flood(from: string, count: number): { codes: Record<string, number>; refusal: string } {
    const script = [join(ROOT, 'bin/node.sh'), join(ROOT, 'test/deploy/flood.ts')];
    const { output } = host.asCaller(['sh', ...script, `https://${SERVER}/healthz`, String(count), from]);
    return JSON.parse(output) as { codes: Record<string, number>; refusal: string };
  }

  test('50 requests a second of one address pass, a flood does not, others are not disturbed', () => {
    const beganAtMs = performance.now();
    const { codes, refusal } = flood(CALLERS[3], 600);
    const passedAtMost = 51 + (50 * (performance.now() - beganAtMs)) / 1_000;
    expect(Object.keys(codes).sort()).toEqual(['200', '429']);
    expect(codes['200']).toBeGreaterThanOrEqual(50);
    expect(codes['200']).toBeLessThanOrEqual(passedAtMost);
    // In the form that refusals of the mesh have.
    const [headers = '', body = ''] = refusal.split('\n');
    expect(JSON.parse(headers)).toMatchObject({ 'retry-after': '1', 'content-type': 'application/json' });
    expect(JSON.parse(body)).toMatchObject({ error: { type: 'rate_limit_error', code: 'rate_limit_exceeded' } });
    expect(flood(CALLERS[2], 20).codes).toEqual({ 200: 20 });
  });

  test('a client of gRPC reads the refusal as RESOURCE_EXHAUSTED', async () => {
    const call = ['mesh.router.v1.RouterService/ListModels', host.adminKey, {}] as const;
    const busy = host.startAsCaller([
      ...['sh', join(ROOT, 'bin/node.sh'), join(ROOT, 'test/deploy/flood.ts')],
      ...[`https://${SERVER}/healthz`, '20000', CALLERS[0]],
    ]);
    await eventually('it is refused', () => rpc('grpc', ...call).output.includes('resource_exhausted'));
    await busy.stop('SIGKILL');
    await eventually('it is served again', () => rpc('grpc', ...call).status === 0);
  });

  test.each(['/metrics', '//metrics', '/metrics/', '/%6detrics', '/x/../metrics'])('%s is closed by nginx', (path) => {
    const words = ['curl', '-ski', '--path-as-is', '--interface', CALLERS[2]];
    const { output } = host.asCaller([...words, `https://${SERVER}${path}`]);
    expect(output).toMatch(/^HTTP\/2 404/);
    // The page of nginx, not an answer of the mesh.
    expect(output).toContain('<center>nginx');
  });

  test('plain HTTP is sent to https, certbot finds its place', () => {
    const { output } = host.asCaller([
      'curl',
      '-s',
      '-i',
      '-H',
      'Host: chat.example.com',
      `http://${SERVER}/v1/models`,
    ]);
    expect(output).toMatch(/^HTTP\/1.1 308[\s\S]*Location: https:\/\/chat.example.com\/v1\/models/);
    const challenge = host.asCaller(['curl', '-s', '-i', `http://${SERVER}/.well-known/acme-challenge/none`]);
    expect(challenge.output).toMatch(/^HTTP\/1.1 404/);
  });
});
