import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { type AddressInfo, isIP } from 'node:net';
import { join, relative, resolve } from 'node:path';
import type { Browser } from 'playwright-core';
import { rolldown } from 'rolldown';
import { BROWSER_PATIENCE_MS, startBrowser } from '../../harness/browser.ts';
import { generateCode } from '../generate-code.ts';
import type { Command, RpcClient, Told } from '../rpc-client.ts';

const root = resolve(import.meta.dirname, '../../..');
const committed = join(root, 'gen');

/** Bundles the page as its developer would, with code that is generated in the folder in place of ours. */
async function bundle(folder: string): Promise<string> {
  await generateCode(folder, [
    {
      local: join(root, 'node_modules/.bin/protoc-gen-es'),
      out: 'gen',
      opt: ['target=ts', 'import_extension=ts'],
    },
  ]);
  const build = await rolldown({
    input: join(import.meta.dirname, 'page.ts'),
    plugins: [
      {
        name: 'generated',
        resolveId: (id, importer) => {
          const path = id.startsWith('.') && importer ? resolve(importer, '..', id) : id;
          if (path.startsWith(committed)) return join(folder, 'gen', relative(committed, path));
          // What is generated lies outside of the project; its packages are the project's.
          return undefined;
        },
      },
    ],
    resolve: { modules: [join(root, 'node_modules')] },
    logLevel: 'silent',
  });
  await build.write({ file: join(folder, 'page.js'), format: 'esm' });
  await build.close();
  return readFileSync(join(folder, 'page.js'), 'utf8');
}

/** Opens a page in a browser, from an origin of its own, that speaks one of the protocols. */
export async function startPage(protocol: 'connect' | 'grpc-web', program: string, folder: string): Promise<RpcClient> {
  const script = await bundle(folder);
  const server = createServer((request, response) => {
    const isScript = request.url === '/page.js';
    response.setHeader('content-type', isScript ? 'text/javascript' : 'text/html');
    response.end(
      isScript ? script : '<!doctype html><title>client</title><script type="module" src="/page.js"></script>',
    );
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const browser: Browser = await startBrowser(program);
  // The page's own authority is nobody's; Chromium takes none from a file.
  const page = await browser.newPage({ ignoreHTTPSErrors: true });
  page.setDefaultTimeout(BROWSER_PATIENCE_MS);
  await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/#${protocol}`);
  await page.waitForFunction('globalThis.tell !== undefined');
  return {
    call(command) {
      // The browser of the tests finds no names, so that it asks nobody.
      const told = command.do === 'connect' ? { ...command, address: numeric(command.address) } : command;
      return page.evaluate(
        (each) => (globalThis as unknown as { tell(command: Command): Promise<Told> }).tell(each),
        told,
      );
    },
    async close() {
      await browser.close();
      server.close();
    },
  };
}

function numeric(address: string): string {
  const [name = '', port] = address.split(':');
  return `${isIP(name) ? name : '127.0.0.1'}:${port}`;
}
