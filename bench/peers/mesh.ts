import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Child, freePort, httpStatus, startChild, untilReady } from '../harness/child.ts';
import { answersChat, ENGINE_MODELS } from './engine-models.ts';
import type { Peer, PeerContext } from './peer.ts';

const root = join(import.meta.dirname, '..', '..');
const MESH_TOKEN = 'bench-token-0123456789abcdef0123456789abcdef';
const MANY = 1_000_000_000;

/** Limits that count for every request and are never reached. */
export const BENCH_QUOTA = {
  tiers: { bench: { requests_per_minute: MANY / 10, requests_per_hour: MANY } },
  user_defaults: { tokens_per_minute: MANY },
  organization_defaults: { tokens_per_day: MANY, requests_per_day: MANY, tokens_per_month: MANY * 10 },
};

/** One request in ten is traced, as the sampling of a busy service goes. */
function sampledTraces(url: string): Record<string, string> {
  const sampler = { OTEL_TRACES_SAMPLER: 'parentbased_traceidratio', OTEL_TRACES_SAMPLER_ARG: '0.1' };
  return { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${url}/v1/traces`, ...sampler };
}

/** This project, all services in one process, with its real key check, quota, store, logs and metrics, as they are by default. */
export const mesh: Peer = meshWith('mesh', {});

/** The same with other sections in its configuration file; `served` are those of its models that must answer before it counts as up. */
export function meshWith(name: string, sections: object, served: readonly string[] = ENGINE_MODELS): Peer {
  return {
    name,
    tracesVariables: sampledTraces,
    start: async (context) => {
      const port = await freePort();
      const child = startChild([...command(context, 'data', port), '--config', configFile(context, sections)], {
        core: context.core,
        cwd: context.directory,
        environment: context.environment,
      });
      return { port, token: await untilServing(context, child, port, served), child };
    },
  };
}

/** In two processes, the gateway, and that of the engines behind a trunk. The CPU of both counts. */
export const meshSplit: Peer = {
  name: 'mesh-split',
  tracesVariables: sampledTraces,
  start: async (context) => {
    const port = await freePort();
    const url = `http://127.0.0.1:${port}`;
    return startParts(context, port, { AUTH: url, ROUTER: url }, [
      { data: 'data', port, roles: 'auth,quota,router,tasks,facade' },
      { data: 'engines', port: await freePort(), roles: 'inference' },
    ]);
  },
};

/** In three: the facade; the router with those who keep the books; the engines. A trunk between each two, the CPU of all three counts. */
export const meshApart: Peer = {
  name: 'mesh-apart',
  tracesVariables: sampledTraces,
  start: async (context) => {
    const [port, routerPort] = [await freePort(), await freePort()];
    const url = `http://127.0.0.1:${routerPort}`;
    return startParts(context, port, { AUTH: url, QUOTA: url, ROUTER: url, TASKS: url }, [
      { data: 'data', port: routerPort, roles: 'auth,quota,router,tasks' },
      { data: 'facade', port, roles: 'facade' },
      { data: 'engines', port: await freePort(), roles: 'inference' },
    ]);
  },
};

interface Part {
  readonly data: string;
  readonly port: number;
  readonly roles: string;
}

/** One tree: a shell that ends all parts and waits. `peers` says where roles are that a part does not have. */
async function startParts(context: PeerContext, port: number, peers: Record<string, string>, parts: readonly Part[]) {
  const config = configFile(context);
  const started = parts.map((part, index) => {
    const elsewhere = Object.entries(peers).filter(([role]) => !part.roles.split(',').includes(role.toLowerCase()));
    const words = [
      ...['env', ...elsewhere.map(([role, url]) => `MESH_PEER_${role}=${url}`)],
      ...[...command(context, part.data, part.port), '--roles', part.roles, '--config', config],
    ];
    return `${words.map((word) => `'${word}'`).join(' ')} & p${index}=$!`;
  });
  const pids = parts.map((_, index) => `$p${index}`).join(' ');
  const script = `${started.join('; ')}; trap 'kill ${pids}' TERM; wait; wait ${pids}`;
  const environment = { ...context.environment, MESH_TOKEN };
  const child = startChild(['sh', '-c', script], { core: context.core, cwd: context.directory, environment });
  return { port, token: await untilServing(context, child, port), child };
}

function command({ directory }: PeerContext, data: string, port: number): string[] {
  const program = ['sh', join(root, 'bin/node.sh'), join(root, 'services/main.ts')];
  return [...program, '--data-dir', join(directory, data), '--port', String(port), '--model', 'none'];
}

function configFile({ directory, enginePort }: PeerContext, sections: object = {}): string {
  const models = ENGINE_MODELS.map((name) => openAiEntry(name, name, enginePort));
  const file = join(directory, 'mesh.yaml');
  writeFileSync(file, JSON.stringify({ inference: { models }, quota: BENCH_QUOTA, ...sections })); // JSON is YAML
  return file;
}

/** The mock engine as an entry of `inference.models`. */
export function openAiEntry(name: string, model: string, enginePort: number): object {
  return { name, engine: 'openai', base_url: `http://127.0.0.1:${enginePort}/v1`, model };
}

/** Resolves to a key with limits once every model answers. */
async function untilServing(
  { directory }: PeerContext,
  child: Child,
  port: number,
  served: readonly string[] = ENGINE_MODELS,
): Promise<string> {
  const url = `http://127.0.0.1:${port}`;
  await untilReady(child, async () => (await httpStatus(`${url}/readyz`)) === 200);
  const admin = readFileSync(join(directory, 'data', 'admin.key'), 'utf8').trim();
  const response = await fetch(`${url}/mesh.auth.v1.AuthService/CreateApiKey`, {
    method: 'POST',
    headers: { authorization: `Bearer ${admin}`, 'content-type': 'application/json' },
    body: JSON.stringify({ tier: 'bench' }),
  });
  const answer = (await response.json()) as { secret?: string };
  if (answer.secret === undefined) throw new Error(`no key: ${response.status} ${JSON.stringify(answer)}`);
  const { secret } = answer;
  for (const model of served) await untilReady(child, () => answersChat(url, secret, model));
  return secret;
}
