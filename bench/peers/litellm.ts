import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort, startChild, untilReady } from '../harness/child.ts';
import { isInstalled, problemOf } from '../harness/programs.ts';
import { answersChat, ENGINE_MODELS } from './engine-models.ts';
import type { Peer } from './peer.ts';

const TOKEN = 'sk-bench-0123456789abcdef';
const requirements = join(import.meta.dirname, 'litellm', 'requirements.txt');
const venv = join(import.meta.dirname, '..', 'build', 'litellm');
const program = join(venv, 'bin', 'litellm');

/** Nothing of it may leave the machine while it is measured. */
const ALONE = { LITELLM_LOCAL_MODEL_COST_MAP: 'True', LITELLM_TELEMETRY: 'False', LITELLM_MODE: 'PRODUCTION' };

/** On one core it brings about 1,300 tokens a second and 80 requests; Python does not get faster by being warmed up. */
const AT_MOST = { streams: 32, requestsPerSecond: 40, warmUpRequests: 200 };

/** LiteLLM's proxy from PyPI in an environment of its own: one worker, key check by its master key, no database, so no accounts. */
export const litellm: Peer = {
  name: 'litellm',
  version: () => /^litellm==(.+)$/m.exec(readFileSync(requirements, 'utf8'))?.[1] ?? 'unknown',
  missing: install,
  start: async ({ enginePort, directory, core, environment }) => {
    const port = await freePort();
    const config = join(directory, 'litellm.yaml');
    writeFileSync(config, JSON.stringify(settings(enginePort))); // JSON is YAML
    const flags = ['--host', '127.0.0.1', '--port', String(port), '--num_workers', '1', '--config', config];
    const child = startChild([program, ...flags], {
      ...{ core, cwd: directory },
      environment: { ...environment, ...ALONE, HOME: directory, LITELLM_LOG: 'ERROR' },
    });
    await untilReady(child, () => answersChat(`http://127.0.0.1:${port}`, TOKEN, 'mock'));
    return { port, token: TOKEN, child, atMost: AT_MOST };
  },
};

function settings(enginePort: number): object {
  const api = { api_base: `http://127.0.0.1:${enginePort}/v1`, api_key: 'none' };
  return {
    model_list: ENGINE_MODELS.map((name) => ({
      model_name: name,
      litellm_params: { model: `openai/${name}`, ...api },
    })),
    general_settings: { master_key: TOKEN },
    litellm_settings: { telemetry: false },
  };
}

/** Makes the environment once, with exactly the packages of the list. */
function install(): string | undefined {
  const installed = join(venv, 'installed.txt');
  const wanted = readFileSync(requirements, 'utf8');
  if (existsSync(installed) && readFileSync(installed, 'utf8') === wanted) return undefined;
  if (!isInstalled('python3')) return 'apt-get install python3-venv';
  console.error('Installing LiteLLM into bench/build/litellm (once; about 600 MB) ...');
  mkdirSync(venv, { recursive: true });
  const pip = [
    'bin/python',
    '-m',
    'pip',
    'install',
    '--quiet',
    '--only-binary',
    ':all:',
    '--requirement',
    requirements,
  ];
  const problem =
    problemOf(['python3', '-m', 'venv', '--clear', venv], venv) ??
    problemOf([join(venv, 'bin/python'), ...pip.slice(1)], venv);
  if (problem === undefined) writeFileSync(installed, wanted);
  return problem;
}
