import { cpSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fetchSource } from './llama-server.ts';
import { run, type Step } from './step.ts';

const VERSION = '0.17.4';
const MODULE = 'github.com/ollama/ollama';

/** Headers that Ollama's C++ code needs and that a Go module cannot hold, because they lie in a folder "vendor". */
const HEADERS = ['nlohmann', 'stb', 'miniaudio'];

/** Ollama for the CPU, built from its Go module: 6 minutes of one core. */
export const ollamaStep: Step = {
  needs: ['go', 'g++', 'python3', 'tar'],
  recipe: VERSION,
  install(folder) {
    const modules = join(folder, 'modules');
    const source = join(folder, 'source');
    rmSync(source, { recursive: true, force: true });
    mkdirSync(modules, { recursive: true });
    const env = { GOMODCACHE: modules, GOFLAGS: '-modcacherw', GOTOOLCHAIN: 'local' };
    run('go', ['mod', 'download', `${MODULE}@v${VERSION}`], folder, env);
    cpSync(join(modules, `${MODULE}@v${VERSION}`), source, { recursive: true });
    const llamaCpp = join(folder, 'llama-cpp');
    fetchSource(llamaCpp);
    for (const name of HEADERS) {
      cpSync(join(llamaCpp, 'llama.cpp/vendor', name), join(source, 'llama/llama.cpp/vendor', name), {
        recursive: true,
      });
    }
    const named = `-X=${MODULE}/version.Version=${VERSION}`;
    run('go', ['build', '-p', '2', '-trimpath', `-ldflags=${named}`, '-o', join(folder, 'ollama'), '.'], source, env);
    for (const left of [modules, source, llamaCpp]) rmSync(left, { recursive: true });
  },
};
