import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';

const root = resolve(import.meta.dirname, '../..');
const page = readFileSync(join(root, 'docs/contracts.md'), 'utf8');

describe('docs/contracts.md', () => {
  test('has what it links to, once', () => {
    const anchors = [...page.matchAll(/<a id="([^"]+)">/g)].map((match) => match[1]);
    const links = new Set([...page.matchAll(/\]\(#([^)]+)\)/g)].map((match) => match[1]));
    expect(new Set(anchors).size).toBe(anchors.length);
    expect([...links].filter((link) => !anchors.includes(link))).toEqual([]);
    expect(anchors).toContain('mesh.router.v1.RouterService.Generate');
  });

  test('says something about every field, value and method', () => {
    expect(page.split('\n').filter((line) => /^\|.*\|\s*\|$/.test(line))).toEqual([]);
    expect(page).not.toMatch(/\{\}|undefined|unspecified`/);
  });

  test('tells rules in words', () => {
    expect(page).toContain('| `model` = 1 | string | at most 512 characters |');
    expect(page).toContain('| `prompt` = 2 | [Prompt](#mesh.generation.v1.Prompt) | required |');
    expect(page).toContain('| `temperature` = 2 | optional double | ≥ 0; ≤ 2 |');
  });
});

describe('a change of the contracts', () => {
  const copy = mkdtempSync(join(tmpdir(), 'mesh-proto-'));
  for (const name of ['proto', 'buf.yaml']) cpSync(join(root, name), join(copy, name), { recursive: true });
  afterAll(() => rmSync(copy, { recursive: true }));
  const file = join(copy, 'proto/mesh/router/v1/router_service.proto');
  const original = readFileSync(file, 'utf8');
  const env = { ...process.env, PATH: `${dirname(process.execPath)}:${process.env.PATH ?? ''}` };

  function breaking(changed: string): string {
    writeFileSync(file, changed);
    const args = ['breaking', '--against', join(root, 'proto/baseline.binpb')];
    const { status, stdout } = spawnSync(join(root, 'node_modules/.bin/buf'), args, {
      cwd: copy,
      env,
      encoding: 'utf8',
    });
    return `${status} ${stdout}`;
  }

  test('that breaks callers is found', () => {
    expect(breaking(original.replace('repeated Model models = 1;', 'repeated Model models = 7;'))).toMatch(
      /^100 .*deleted/,
    );
    expect(breaking(original.replace(/ {2}rpc Embed\(.*\n/, ''))).toMatch(/^100 .*RPC "Embed"/);
  });

  test('that adds something is none', () => {
    const more = original.replace(
      'message ListModelsRequest {}',
      'message ListModelsRequest {\n  string prefix = 1;\n}',
    );
    expect(more).not.toBe(original);
    expect(breaking(more)).toMatch(/^0 /);
  });
});
