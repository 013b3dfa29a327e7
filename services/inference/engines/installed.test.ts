import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { engineFor } from './catalogue.ts';
import { HUB_ENGINES, installedHubEngine } from './installed.ts';
import { modelEntrySchema } from './model-entry.ts';

let place: string;
beforeEach(() => {
  place = mkdtempSync(join(tmpdir(), 'mesh-path-'));
});
afterEach(() => rmSync(place, { recursive: true }));

/** A directory with programs of these names, which leave a trace when they run. */
function directory(name: string, programs: readonly string[], mode = 0o755): string {
  const path = join(place, name);
  mkdirSync(path, { recursive: true });
  for (const program of programs) {
    writeFileSync(join(path, program), `#!/bin/sh\ntouch ${join(place, 'ran')}\n`);
    chmodSync(join(path, program), mode);
  }
  return path;
}

async function found(...path: string[]): Promise<string | undefined> {
  const engine = await installedHubEngine((name) => (name === 'PATH' ? path.join(delimiter) : undefined));
  return engine?.engine;
}

test('the preferred one is taken wherever on PATH it is', async () => {
  const all = directory('all', ['transformers', 'text-generation-launcher']);
  expect(await found(all)).toBe('tgi');
  expect(await found(all, directory('later', ['vllm']))).toBe('vllm');
  expect(await found(directory('one', ['transformers']))).toBe('transformers');
  expect(existsSync(join(place, 'ran'))).toBe(false);
});

test('what cannot be run is not installed', async () => {
  expect(await found(directory('plain', ['vllm'], 0o644))).toBeUndefined();
  mkdirSync(join(place, 'folder', 'vllm'), { recursive: true });
  expect(await found(join(place, 'folder'))).toBeUndefined();
  expect(await found(join(place, 'gone'))).toBeUndefined();
  expect(await found('')).toBeUndefined();
  expect(await installedHubEngine(() => undefined)).toBeUndefined();
  mkdirSync(join(place, 'links'));
  symlinkSync(join(place, 'none'), join(place, 'links', 'vllm'));
  expect(await found(join(place, 'links'))).toBeUndefined();
  symlinkSync(join(directory('real', ['run']), 'run'), join(place, 'links', 'transformers'));
  expect(await found(join(place, 'links'))).toBe('transformers');
});

test('what is looked for is what a start runs, and its arguments are taken', () => {
  const setting = { runDirectory: place, nodePath: 'node', gpu: 'auto', environmentVariable: () => undefined } as const;
  for (const { engine, program, safety } of HUB_ENGINES) {
    const entry = modelEntrySchema.parse({ name: 'm', engine, model: 'user/model', extra_args: safety });
    const { launch } = engineFor(entry).connect(setting, { devices: [], ports: [1, 2, 3] });
    expect(launch?.program).toBe(program);
    expect(launch?.args.join(' ')).toContain(safety.join(' '));
  }
});
