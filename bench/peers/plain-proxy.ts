import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort, httpStatus, startChild, untilReady } from '../harness/child.ts';
import { isInstalled, versionOf } from '../harness/programs.ts';
import type { Peer } from './peer.ts';

const TOKEN = 'sk-bench-0123456789abcdef';

/** A proxy of the distribution, which is told by a file of its own in bench/ and checks a static bearer token. */
export function plainProxy(name: string, configName: string, args: (config: string) => readonly string[]): Peer {
  return {
    name,
    version: () => versionOf(name, ['-v']),
    missing: () => (isInstalled(name) ? undefined : `apt-get install ${name}`),
    start: async ({ enginePort, directory, core, environment }) => {
      const port = await freePort();
      const config = readFileSync(join(import.meta.dirname, '..', configName), 'utf8')
        .replace('@PORT@', String(port))
        .replace('@ENGINE_PORT@', String(enginePort))
        .replace('@TOKEN@', TOKEN);
      writeFileSync(join(directory, configName), config);
      const child = startChild([name, ...args(configName)], { core, cwd: directory, environment });
      await untilReady(child, async () => (await httpStatus(`http://127.0.0.1:${port}/health`)) === 401);
      return { port, token: TOKEN, child };
    },
  };
}
