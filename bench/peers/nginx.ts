import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort, httpStatus, startChild, untilReady } from '../harness/child.ts';
import type { Peer } from './peer.ts';

const TOKEN = 'sk-bench-0123456789abcdef';
const template = join(import.meta.dirname, '..', 'nginx.conf');

/** A plain reverse proxy with a static bearer check: the baseline of all ratios. */
export const nginx: Peer = {
  name: 'nginx',
  start: async ({ enginePort, directory, core, environment }) => {
    const port = await freePort();
    const config = readFileSync(template, 'utf8')
      .replace('@PORT@', String(port))
      .replace('@ENGINE_PORT@', String(enginePort))
      .replace('@TOKEN@', TOKEN);
    writeFileSync(join(directory, 'nginx.conf'), config);
    const command = ['nginx', '-p', directory, '-c', 'nginx.conf', '-e', 'stderr'];
    const child = startChild(command, { core, cwd: directory, environment });
    await untilReady(child, async () => (await httpStatus(`http://127.0.0.1:${port}/health`)) === 401);
    return { port, token: TOKEN, child };
  },
};
