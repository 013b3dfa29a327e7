import { resolve } from 'node:path';

/** The folder of the repository. */
export const ROOT = resolve(import.meta.dirname, '../..');

/** Where installed engines are, a folder for each: MESH_ENGINES_DIR, else ".engines" in the repository. */
export const ENGINES_DIRECTORY = resolve(process.env.MESH_ENGINES_DIR ?? resolve(ROOT, '.engines'));

/** The program of an installed engine, relative to `ENGINES_DIRECTORY`. */
export const INSTALLED_PROGRAMS = {
  transformers: 'transformers/bin/transformers',
  vllm: 'vllm/bin/vllm',
  'llama-server': 'llama-server/llama-server',
  ollama: 'ollama/ollama',
} as const;

/** An engine that the installer knows. */
export type InstallableEngine = keyof typeof INSTALLED_PROGRAMS;
