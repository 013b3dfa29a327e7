import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort, httpStatus, startChild, untilReady } from '../harness/child.ts';
import { installPackages } from '../harness/packages.ts';
import type { Peer } from './peer.ts';

const directory = join(import.meta.dirname, 'portkey');
const packageDirectory = join(directory, 'node_modules/@portkey-ai/gateway');

/** Portkey's gateway from npm on the same Node.js: another LLM gateway. It checks no key and keeps no accounts. */
export const portkey: Peer = {
  name: 'portkey',
  version: () => JSON.parse(readFileSync(join(packageDirectory, 'package.json'), 'utf8')).version,
  missing: () => installPackages(directory),
  start: async ({ enginePort, directory: cwd, core, environment }) => {
    const port = await freePort();
    // The Node.js that runs this, without the flags and the environment that bin/node.sh sets for the mesh: they are not Portkey's choice.
    const program = [process.execPath, join(packageDirectory, 'build/start-server.js')];
    const child = startChild([...program, '--headless', `--port=${port}`], {
      core,
      cwd,
      environment: { ...environment, NODE_ENV: 'production' },
    });
    await untilReady(child, async () => (await httpStatus(`http://127.0.0.1:${port}/`)) === 200);
    const upstream = `http://127.0.0.1:${enginePort}/v1`;
    return {
      port,
      token: 'unchecked',
      headers: { 'x-portkey-provider': 'openai', 'x-portkey-custom-host': upstream },
      child,
    };
  },
};
