import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort, httpStatus, startChild, untilReady } from '../harness/child.ts';
import type { Peer, PeerContext } from './peer.ts';

const root = join(import.meta.dirname, '..', '..');
// The mock engine chooses its pace by the model's name, so each name is an entry of its own on the same URL.
const ENGINE_MODELS = ['mock', 'burst', 'paced', 'lock'];

/** This project, all services in one process, with its real key check, quota, store, logs and metrics, as they are by default. */
export const mesh: Peer = meshWith('mesh', {});

/** The same with other fields in the section `observability`. */
export function meshWith(name: string, observability: object): Peer {
  return {
    name,
    start: async (context) => {
      const port = await freePort();
      const child = startChild(
        [...command(context, 'data', port), '--config', configFile(context, { observability })],
        {
          core: context.core,
          cwd: context.directory,
          environment: context.environment,
        },
      );
      return { port, token: await untilServing(context, child, port), child };
    },
  };
}

/** The same split in two: the gateway, and the engines' process behind a trunk. Its two processes count together. */
export const meshSplit: Peer = {
  name: 'mesh-split',
  start: async (context) => {
    const [port, enginesPort] = [await freePort(), await freePort()];
    const gatewayUrl = `http://127.0.0.1:${port}`;
    const gateway = [...command(context, 'data', port), '--roles', 'auth,quota,router,tasks,facade'];
    const engines = [
      ...command(context, 'engines', enginesPort),
      '--roles',
      'inference',
      '--config',
      configFile(context),
    ];
    // One tree: a shell that ends both and waits.
    const script = `${quoted(gateway)} & a=$!; ${quoted(engines)} & b=$!; trap 'kill $a $b' TERM; wait; wait`;
    const child = startChild(['sh', '-c', script], {
      core: context.core,
      cwd: context.directory,
      environment: {
        ...context.environment,
        MESH_TOKEN: 'bench-token-0123456789abcdef0123456789abcdef',
        MESH_PEER_AUTH: gatewayUrl,
        MESH_PEER_ROUTER: gatewayUrl,
      },
    });
    return { port, token: await untilServing(context, child, port), child };
  },
};

function command({ directory }: PeerContext, data: string, port: number): string[] {
  const program = ['sh', join(root, 'bin/node.sh'), join(root, 'services/main.ts')];
  return [...program, '--data-dir', join(directory, data), '--port', String(port), '--model', 'none'];
}

function configFile({ directory, enginePort }: PeerContext, sections: object = {}): string {
  const models = ENGINE_MODELS.map((name) => ({
    name,
    engine: 'openai',
    base_url: `http://127.0.0.1:${enginePort}/v1`,
    model: name,
  }));
  const file = join(directory, 'mesh.yaml');
  writeFileSync(file, JSON.stringify({ inference: { models }, ...sections })); // JSON is YAML
  return file;
}

function quoted(words: readonly string[]): string {
  return words.map((word) => `'${word}'`).join(' ');
}

async function answers(url: string, token: string, model: string): Promise<boolean> {
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model, messages: [{ role: 'user', content: 'x' }], max_tokens: 1 }),
  });
  await response.arrayBuffer();
  return response.ok;
}

/** Resolves to the admin's key once every model answers. */
async function untilServing(
  { directory }: PeerContext,
  child: ReturnType<typeof startChild>,
  port: number,
): Promise<string> {
  const url = `http://127.0.0.1:${port}`;
  await untilReady(child, async () => (await httpStatus(`${url}/readyz`)) === 200);
  const token = readFileSync(join(directory, 'data', 'admin.key'), 'utf8').trim();
  for (const model of ENGINE_MODELS) await untilReady(child, () => answers(url, token, model));
  return token;
}
