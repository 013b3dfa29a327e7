// The mesh as `npm start` runs it: rolled up by bin/bundle.ts. All other tests run its sources.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type ServerHttp2Stream } from 'node:http2';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventually, freePort, type RunningProgram, startProgram } from '../harness/processes.ts';

const root = resolve(import.meta.dirname, '../..');

/** What one process that serves all roles from SQLite need not load; loaded-at-start.test.ts says why, of the sources. */
const LATE = ['@grpc/grpc-js', 'undici', 'ajv', 'ioredis'];

const directory = mkdtempSync(join(tmpdir(), 'bundle-'));
/** What came to the collector of traces by gRPC. */
const exported: string[] = [];
const collector = createServer();
collector.on('stream', (stream: ServerHttp2Stream, headers) => {
  exported.push(headers[':path'] ?? '');
  stream.respond({ ':status': 200, 'content-type': 'application/grpc', 'grpc-status': '0' }, { endStream: true });
});
let mesh: RunningProgram;
let url: string;
let key: string;

beforeAll(async () => {
  const port = await freePort();
  url = `http://127.0.0.1:${port}`;
  writeFileSync(join(directory, 'mesh.yaml'), 'server:\n  workers: 2\n');
  const args = ['--port', String(port), '--data-dir', join(directory, 'data')];
  const collectorPort = await freePort();
  await new Promise<void>((listening) => collector.listen(collectorPort, '127.0.0.1', listening));
  const env = {
    OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${collectorPort}`,
    OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc',
    OTEL_BSP_SCHEDULE_DELAY: '100',
  };
  mesh = startProgram('sh', [join(root, 'bin/node.sh'), join(root, 'services/main.ts'), ...args], env, directory);
  await eventually('ready', async () => (await fetch(`${url}/readyz`)).ok, 120_000);
  key = readFileSync(join(directory, 'data/admin.key'), 'utf8').trim();
});

afterAll(async () => {
  expect(await mesh.stop()).toBe(0);
  collector.close();
  rmSync(directory, { recursive: true });
});

/** The programs that run from the bundle, each by the name of its file, of the mesh and of what it started; and their folder. */
function running(): { folder: string; programs: string[] } {
  const processes = execFileSync('ps', ['-A', '-o', 'pid=,ppid=,args='], { encoding: 'utf8', maxBuffer: 2 ** 24 });
  const all = [...processes.matchAll(/^ *(\d+) +(\d+) (.*)$/gm)].map(([, id, parent, command = '']) => ({
    ...{ id: Number(id), parent: Number(parent) },
    program: new RegExp(`^\\S*/bin/node .*?(${root}/(?:dist/\\d+-\\d+|services)/\\S+)`).exec(command)?.[1],
  }));
  const isOurs = (id: number | undefined): boolean =>
    id === mesh.child.pid || all.some((each) => each.id === id && isOurs(each.parent));
  const paths = all.flatMap(({ id, program }) => (program !== undefined && isOurs(id) ? [program] : []));
  return { folder: dirname(paths[0] ?? ''), programs: paths.map((path) => basename(path)).sort() };
}

test('runs from it, workers and engines included', () => {
  const { folder, programs } = running();
  expect(programs).toEqual(['embedded-engine.js', 'main.js', 'main.js', 'main.js']);
  expect(dirname(folder)).toBe(join(root, 'dist'));
});

test('loads no package that only others need', () => {
  const { folder } = running();
  /** The text of a file of the bundle and of all that it needs at once. */
  const textOf = (name: string, seen = new Set<string>()): string => {
    if (seen.has(name)) return '';
    seen.add(name);
    const text = readFileSync(join(folder, name), 'utf8');
    const needed = [...text.matchAll(/^import .*"\.\/([^"]+)";$/gm)].map(([, file = '']) => textOf(file, seen));
    return [text, ...needed].join('\n');
  };
  // The composition root imports the rooms of the facade and of inference when their roles are served.
  const main = textOf('main.js');
  const rooms = [...main.matchAll(/import\("\.\/((?:context|routes|shipped-model|local-models)-[^"]+)"\)/g)];
  const text = [main, ...rooms.map(([, name = '']) => textOf(name))].join('\n');
  expect(rooms.length).toBeGreaterThan(4);
  const isLoaded = (name: string): boolean => text.includes(`node_modules/${name}/`) || text.includes(`from "${name}"`);
  expect(isLoaded('pino') && isLoaded('fastify')).toBe(true);
  expect(LATE.filter(isLoaded)).toEqual([]);
});

test('answers a chat with the engine in its bundle', async () => {
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ messages: [{ role: 'user', content: 'What is the capital of France?' }], temperature: 0 }),
  });
  expect(JSON.stringify(await response.json())).toContain('Paris');
});

test('finds what lies beside its sources, and what lies in packages', async () => {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
  const document = (await (await fetch(`${url}/openapi.json`)).json()) as { info: { version: string } };
  expect(document.info.version).toBe(version);
  for (const page of ['docs', 'redoc']) {
    const html = await (await fetch(`${url}/${page}`)).text();
    const assets = [...html.matchAll(/docs\/assets\/[^"]+/g)].map(([path]) => path);
    expect(assets.length).toBeGreaterThan(1);
    for (const path of assets) expect([path, (await fetch(`${url}/${path}`)).status]).toEqual([path, 200]);
  }
});

test('sends its traces by gRPC, with the package that the trunks use', async () => {
  const path = '/opentelemetry.proto.collector.trace.v1.TraceService/Export';
  await eventually('traces', () => exported.includes(path));
});
