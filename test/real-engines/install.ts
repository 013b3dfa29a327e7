// Installs real engines for `npm run test:engines` from the package registries, without the machine's own package manager.
// Usage: sh bin/node.sh test/real-engines/install.ts [engine …]   – without names all but Ollama, which is asked for by name.
import { join } from 'node:path';
import { llamaServerStep } from './install/llama-server.ts';
import { ollamaStep } from './install/ollama.ts';
import { transformersStep, vllmStep } from './install/python-engines.ts';
import { carryOut, type Step } from './install/step.ts';
import { ENGINES_DIRECTORY, type InstallableEngine } from './places.ts';

const STEPS: Readonly<Record<InstallableEngine, Step>> = {
  transformers: transformersStep,
  vllm: vllmStep,
  'llama-server': llamaServerStep,
  ollama: ollamaStep,
};
const USUAL: readonly InstallableEngine[] = ['transformers', 'vllm', 'llama-server'];

const isKnown = (name: string): name is InstallableEngine => Object.hasOwn(STEPS, name);

const asked = process.argv.slice(2);
const unknown = asked.filter((name) => !isKnown(name));
if (unknown.length > 0) {
  console.error(`install: unknown: ${unknown.join(', ')}; there are: ${Object.keys(STEPS).join(', ')}`);
  process.exit(78);
}
const outcomes = (asked.length > 0 ? asked.filter(isKnown) : USUAL).map((name) => {
  try {
    return `${name}: ${carryOut(STEPS[name], join(ENGINES_DIRECTORY, name))}`;
  } catch (error) {
    process.exitCode = 1;
    return `${name}: failed: ${(error as Error).message}`;
  }
});
console.log(`in ${ENGINES_DIRECTORY}\n${outcomes.join('\n')}`);
