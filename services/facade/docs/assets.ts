import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { FastifyRequest } from 'fastify';
import { z } from 'zod';
import { MeshError } from '../../shared/errors/mesh-error.ts';
import type { Endpoint } from '../http/endpoint.ts';
import { keptContent, type StaticContent, sendContent, staticContent } from './static-content.ts';

const SCRIPT = 'text/javascript; charset=utf-8';
const STYLE = 'text/css; charset=utf-8';

/** Files of the documentation's pages: most come from the installed packages. */
const ASSETS = {
  'swagger-ui.css': fromPackage('swagger-ui-dist/swagger-ui.css', STYLE),
  'swagger-ui.js': fromPackage('swagger-ui-dist/swagger-ui-bundle.js', SCRIPT),
  'swagger-start.js': fromPackage('./swagger-start.js', SCRIPT),
  // It shows its maker's logo from a server of his; a picture that is not there is left out.
  'redoc.js': fromPackage('redoc/bundles/redoc.standalone.js', SCRIPT, (script) =>
    script.replace('https://cdn.redoc.ly/redoc/logo-mini.svg', 'data:,'),
  ),
  'redoc-start.js': fromPackage('./redoc-start.js', SCRIPT),
  'page.css': fromPackage('./page.css', STYLE),
};

/** The name of one of these files. */
export type AssetName = keyof typeof ASSETS;

const params = z.object({
  name: z
    .enum(Object.keys(ASSETS) as AssetName[])
    .describe('Its name.')
    .meta({ examples: ['page.css'] }),
});

/** `GET /docs/assets/{name}`. */
export const assetEndpoint: Endpoint<unknown> = {
  method: 'GET',
  path: '/docs/assets/{name}',
  access: 'open',
  tag: 'Documentation',
  summary: 'A file of the documentation pages',
  description: 'With `?v=` and the hash of the file, as the pages ask for it, it may be kept for good.',
  params,
  answers: {
    200: { description: 'The file.', types: ['text/javascript', 'text/css'] },
    304: { description: 'It is the one that `If-None-Match` names.' },
  },
  errors: { 404: 'There is no such file.' },
  handler: () => async (request, reply) => sendContent(await assetOf(request), request, reply),
};

/** The address of a file, seen from a page at the root. */
export async function assetAddress(name: AssetName): Promise<string> {
  const { hash } = await ASSETS[name]();
  return `docs/assets/${name}?v=${hash}`;
}

function assetOf(request: FastifyRequest): Promise<StaticContent> {
  const known = params.safeParse(request.params);
  if (!known.success) throw new MeshError('NOT_FOUND', 'There is no such file.', { metadata: { kind: 'file' } });
  return ASSETS[known.data.name]();
}

function fromPackage(
  specifier: string,
  type: string,
  change = (text: string): string => text,
): () => Promise<StaticContent> {
  return keptContent(async () => {
    const text = await readFile(fileURLToPath(import.meta.resolve(specifier)), 'utf8');
    return staticContent(change(text), type);
  });
}
