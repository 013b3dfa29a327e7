import { existsSync } from 'node:fs';
import { access, constants } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { delimiter, isAbsolute, join } from 'node:path';
import type { Config } from '../../../services/config.ts';
import { readDriver } from '../../../services/inference/devices/driver.ts';
import type { DriverReading } from '../../../services/inference/devices/gpu-reading.ts';
import { binaryVariants, readDeviceSigns } from '../../../services/inference/embedded/device.ts';
import { clean } from '../output/table.ts';
import { bytesWord } from '../output/words.ts';
import { type Finding, ok, problem, warning } from './finding.ts';

/** The program that each kind of engine is started with; the others need none. */
const PROGRAMS: Readonly<Record<string, string>> = {
  vllm: 'vllm',
  tgi: 'text-generation-launcher',
  transformers: 'transformers',
  'llama-server': 'llama-server',
  ollama: 'ollama',
};

/** What the driver tells, and whether what is configured to run on devices can. */
export async function checkDevices(
  config: Config,
  env: NodeJS.ProcessEnv,
): Promise<{ findings: Finding[]; hasDevices: boolean }> {
  const reading = await readDriver((name) => env[name]);
  return {
    findings: [...driverFindings(reading), ...missingDevices(config, reading)],
    hasDevices: reading.gpus.length > 0,
  };
}

function driverFindings(reading: DriverReading): Finding[] {
  if (reading.absent) {
    const best = binaryVariants('auto', readDeviceSigns())[0];
    const otherwise = best === 'cpu' ? 'engines run on the CPU' : `llama.cpp tries ${best}, and else the CPU`;
    return [ok('drivers', `no nvidia-smi: ${otherwise}`)];
  }
  const findings = reading.gpus.map(({ index, name, totalBytes, usedBytes, migMode }) => {
    const memory = totalBytes === undefined ? '' : `, ${bytesWord(usedBytes ?? 0)} of ${bytesWord(totalBytes)} used`;
    const what = clean(`cuda:${index} ${name}${memory}`);
    return migMode
      ? warning('devices', `${what}, in MIG mode`, 'No engine is placed on it; nvidia-smi -mig 0 ends that mode.')
      : ok('devices', what);
  });
  if (reading.problem !== undefined) {
    const fix =
      'Run nvidia-smi by hand: the driver and its tools must be of one version, and in a container the devices must be passed in.';
    findings.push(problem('drivers', clean(reading.problem), fix));
  } else if (reading.gpus.length === 0) {
    findings.push(warning('drivers', 'the driver lists no device', 'Without one engines run on the CPU.'));
  } else {
    findings.unshift(ok('drivers', `nvidia-smi answers and lists ${reading.gpus.length}`));
  }
  return findings;
}

/** Devices that the configuration names and the driver does not. */
function missingDevices({ inference }: Config, { gpus }: DriverReading): Finding[] {
  const there = new Set(gpus.map(({ index }) => index));
  const node = Array.isArray(inference.devices) ? [{ where: 'inference.devices', named: inference.devices }] : [];
  const models = inference.models.flatMap((entry) =>
    'devices' in entry && Array.isArray(entry.devices)
      ? [{ where: `inference.models '${entry.name}'`, named: entry.devices as number[] }]
      : [],
  );
  return [...node, ...models].flatMap(({ where, named }) => {
    const missing = named.filter((index) => !there.has(index));
    if (missing.length === 0) return [];
    return [
      problem(
        'devices',
        `${where} names ${missing.map((index) => `cuda:${index}`).join(', ')}, which the driver does not list`,
        'Name devices that nvidia-smi lists.',
      ),
    ];
  });
}

/** Whether the programs of the configured engines are installed. */
export async function checkPrograms({ inference }: Config, env: NodeJS.ProcessEnv): Promise<Finding[]> {
  const named = inference.models.flatMap((entry) => {
    // A server that runs already is not started.
    if ('base_url' in entry && entry.base_url !== undefined) return [];
    return [('program' in entry ? entry.program : undefined) ?? PROGRAMS[entry.engine] ?? ''];
  });
  const needed = [...new Set(named.filter(Boolean))];
  return await Promise.all(
    needed.map(async (program) => {
      const path = await onPath(program, env.PATH ?? '');
      if (path !== undefined) return ok('engines', `${program} at ${path}`);
      return problem(
        'engines',
        `${program} cannot be found`,
        'Install it, or start the mesh with a PATH that has it; docs/engines.md names versions.',
      );
    }),
  );
}

/** Whether llama.cpp was installed with what the devices need. */
export function checkEmbedded(hasDevices: boolean): Finding {
  const entry = createRequire(import.meta.url).resolve('node-llama-cpp');
  const modules = entry.slice(0, entry.lastIndexOf('node-llama-cpp/'));
  const platform = `${process.platform === 'darwin' ? 'mac' : process.platform}-${process.arch}`;
  const has = (suffix: string): boolean => existsSync(join(modules, '@node-llama-cpp', `${platform}${suffix}`));
  if (!has('') && !has('-metal'))
    return problem('engines', `llama.cpp for ${platform} is not installed`, 'npm ci --ignore-scripts');
  if (hasDevices && !has('-cuda')) {
    return warning(
      'engines',
      'llama.cpp is installed without CUDA, and there are CUDA devices',
      'npm ci --ignore-scripts',
    );
  }
  return ok('engines', `llama.cpp for ${platform}${has('-cuda') ? ' with CUDA' : ''}`);
}

async function onPath(program: string, path: string): Promise<string | undefined> {
  if (isAbsolute(program)) return (await isProgram(program)) ? program : undefined;
  for (const directory of path.split(delimiter).filter(Boolean)) {
    const file = join(directory, program);
    if (await isProgram(file)) return file;
  }
  return undefined;
}

async function isProgram(path: string): Promise<boolean> {
  return await access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}
