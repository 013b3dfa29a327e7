import { join } from 'node:path';
import { freePort, httpStatus, startChild, untilReady } from '../harness/child.ts';
import type { Peer } from './peer.ts';

const TOKEN = 'sk-bench-0123456789abcdef';
const root = join(import.meta.dirname, '..', '..');

/** The least that a token-aware gateway on plain Node does; see bench/node-proxy.ts. */
export const nodeProxy: Peer = {
  name: 'node-proxy',
  start: async ({ enginePort, directory, core, environment }) => {
    const port = await freePort();
    const command = ['sh', join(root, 'bin/node.sh'), join(root, 'bench/node-proxy.ts')];
    const child = startChild([...command, String(port), String(enginePort), TOKEN], {
      core,
      cwd: directory,
      environment,
    });
    await untilReady(child, async () => (await httpStatus(`http://127.0.0.1:${port}/health`)) === 401);
    return { port, token: TOKEN, child };
  },
};
