import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort, httpStatus, startChild, untilReady } from '../harness/child.ts';
import type { Peer } from './peer.ts';

const root = join(import.meta.dirname, '..', '..');
// The mock engine chooses its pace by the model's name, so each name is an entry of its own on the same URL.
const ENGINE_MODELS = ['mock', 'burst', 'paced', 'lock'];

/** This project, all services in one process, with its real key check, quota, store and logs. */
export const mesh: Peer = {
  name: 'mesh',
  start: async ({ enginePort, directory, core, environment }) => {
    const port = await freePort();
    const config = join(directory, 'mesh.yaml');
    const dataDirectory = join(directory, 'data');
    const models = ENGINE_MODELS.map((name) => ({
      name,
      engine: 'openai',
      base_url: `http://127.0.0.1:${enginePort}/v1`,
      model: name,
    }));
    writeFileSync(config, JSON.stringify({ inference: { models } })); // JSON is YAML
    const command = ['sh', join(root, 'bin/node.sh'), join(root, 'services/main.ts'), '--config', config];
    const flags = ['--data-dir', dataDirectory, '--port', String(port)];
    const child = startChild([...command, ...flags, '--model', 'none'], { core, cwd: directory, environment });
    await untilReady(child, async () => (await httpStatus(`http://127.0.0.1:${port}/readyz`)) === 200);
    return { port, token: readFileSync(join(dataDirectory, 'admin.key'), 'utf8').trim(), child };
  },
};
