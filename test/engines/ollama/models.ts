// The models of a fake Ollama: a folder of manifests as the real one keeps it.
import { mkdirSync, mkdtempSync, readdirSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

/** In a fake: the folder that its variables name. */
export function modelsFolder(): string {
  return process.env.OLLAMA_MODELS ?? join(process.env.HOME ?? homedir(), '.ollama', 'models');
}

/** In a fake: the names of all models in a folder, as Ollama shows them. */
export function pulledModels(folder: string): string[] {
  const root = join(folder, 'manifests');
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => {
      const parts = join(entry.parentPath, entry.name)
        .slice(root.length + 1)
        .split('/');
      const tag = parts.pop();
      return `${parts.join('/').replace(/^registry\.ollama\.ai\/(?:library\/)?/, '')}:${tag}`;
    });
}

/** In a test: a folder with models in the default registry, e.g. "qwen3:8b"; the caller removes it. */
export function ollamaFolder(...models: string[]): string {
  const folder = mkdtempSync(join(tmpdir(), 'mesh-ollama-'));
  mkdirSync(join(folder, 'manifests'));
  for (const model of models) {
    const file = join(folder, 'manifests', 'registry.ollama.ai', 'library', ...model.split(':'));
    mkdirSync(dirname(file), { recursive: true });
    const digest = `sha256:${'0'.repeat(64)}`;
    writeFileSync(file, JSON.stringify({ layers: [{ mediaType: 'application/vnd.ollama.image.model', digest }] }));
  }
  return folder;
}
