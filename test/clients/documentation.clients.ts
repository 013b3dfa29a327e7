import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { BROWSER_PATIENCE_MS, findBrowser, startBrowser } from '../harness/browser.ts';
import { stretched } from '../harness/patience.ts';
import { eventually } from '../harness/processes.ts';
import { hasPython } from '../harness/python-environment.ts';
import { type ClientsMesh, startClientsMesh } from './clients-mesh.ts';
import { clientsPage, documentedBlocks } from './documented.ts';
import { hasGo, runTool, TOOLS } from './tools.ts';

const root = resolve(import.meta.dirname, '../..');
const blocks = documentedBlocks(clientsPage());

/** What the fake engine answers to 16 tokens. */
const ANSWER = Array.from({ length: 16 }, (_, token) => ` t${token}`).join('');

let setting: ClientsMesh;
let directory: string;
beforeAll(async () => {
  setting = await startClientsMesh();
  directory = mkdtempSync(join(tmpdir(), 'mesh-documented-'));
  // What a user has who has cloned, installed and started.
  const checkout = join(directory, 'checkout');
  mkdirSync(checkout);
  for (const name of ['proto', 'node_modules', 'buf.yaml']) symlinkSync(join(root, name), join(checkout, name));
  symlinkSync(setting.mesh.dataDir('auth'), join(checkout, '.mesh'));
});
afterAll(async () => {
  await setting?.stop();
  // What pip and npm brought has many files.
  if (directory) rmSync(directory, { recursive: true, force: true });
});

const here = (text: string): string => text.replaceAll('127.0.0.1:8000', setting.address);

/** Does what a section says, in an empty directory; returns the directory, and what its commands printed. */
async function follow(section: string): Promise<{ folder: string; output: string }> {
  const folder = mkdtempSync(join(directory, 'example-'));
  const own = blocks.filter((block) => block.section === section);
  for (const { file, text } of own) if (file) writeFileSync(join(folder, file), here(text));
  const preparation = blocks.filter((block) => block.section === '');
  const commands = own.filter(({ language }) => language === 'sh');
  const script = [...preparation, { text: `cd '${folder}'\n` }, ...commands].map(({ text }) => here(text)).join('');
  const path = [dirname(process.execPath), TOOLS, process.env.PATH].join(':');
  const env = { ...process.env, PATH: path, GOBIN: TOOLS };
  const output = await runTool('sh', ['-euc', script], { cwd: join(directory, 'checkout'), env });
  return { folder, output };
}

const hasCompiler = hasGo();
const browser = findBrowser();
const runnable: Readonly<Record<string, boolean>> = {
  ...{ Go: hasCompiler, Python: hasPython(), 'Node.js': true, Browsers: browser !== undefined, grpcurl: hasCompiler },
};

test('no block is left out', () => {
  // One without a language, or with more than a name behind it, would be none.
  expect(clientsPage().match(/^```/gm)).toHaveLength(2 * blocks.length);
  expect(new Set(blocks.map(({ section }) => section))).toEqual(new Set(['', ...Object.keys(runnable)]));
  for (const { language, file } of blocks) if (language !== 'sh') expect(file).toBeDefined();
});

describe('docs/clients.md', () => {
  test.each(['Go', 'Python', 'Node.js'].filter((section) => runnable[section]))('%s', async (section) => {
    await setting.engine.script({});
    const { output } = await follow(section);
    expect(output).toContain(`${ANSWER}\n`);
    expect(output).toMatch(/^(InvalidArgument|INVALID_ARGUMENT) INVALID_FIELD sampling\.temperature$/m);
  });

  test.runIf(runnable.grpcurl)('grpcurl', async () => {
    await setting.engine.script({});
    const { output } = await follow('grpcurl');
    for (const service of ['grpc.health.v1.Health', 'mesh.router.v1.RouterService', 'mesh.tasks.v1.TasksService'])
      expect(output.split('\n')).toContain(service);
    expect(output).toContain('rpc Generate ( .mesh.generation.v1.GenerateRequest ) returns');
    expect(output).toMatch(/"text": "[^"]* t15"/);
    expect(output).toContain('"completionTokens": 16');
  });

  test.runIf(runnable.grpcurl)('grpcurl over TLS', async () => {
    const args = ['-cacert', setting.ca, setting.namedAddress, 'list'];
    expect(await runTool(join(TOOLS, 'grpcurl'), args)).toContain('mesh.router.v1.RouterService');
  });

  test.runIf(runnable.Browsers)('browsers', async () => {
    const { folder } = await follow('Browsers');
    const server = createServer((request, response) => {
      const isScript = request.url === '/app.js';
      response.setHeader('content-type', isScript ? 'text/javascript' : 'text/html');
      response.end(readFileSync(join(folder, isScript ? 'app.js' : 'index.html')));
    });
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
    const started = await startBrowser(browser ?? '');
    try {
      const page = await started.newPage();
      page.setDefaultTimeout(BROWSER_PATIENCE_MS);
      await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
      await page.locator('#key').fill(setting.key);
      const { engine } = setting;

      await engine.script({});
      await page.locator('#ask').click();
      const answer = () => page.locator('#answer').innerText();
      await eventually('the answer is there', async () => (await answer()).trim() === ANSWER.trim());

      await engine.script({ atToken: 2, tokens: 16, fault: 'hang' });
      await page.locator('#ask').click();
      await eventually('it streams', async () => (await answer()).includes('t1'));
      await page.locator('#stop').click();
      await eventually('the engine is idle', async () => (await engine.counts()).running === 0, stretched(1_000));
      await eventually('it is told', async () => (await answer()).includes('[Canceled ]'));

      await page.locator('#key').fill('no-such-key-0123456789');
      await page.locator('#ask').click();
      await eventually('it is told', async () => (await answer()).includes('[Unauthenticated CREDENTIAL_INVALID]'));
    } finally {
      await started.close();
      server.close();
    }
  });
});
