import type { FastifyRequest } from 'fastify';
import type { EndpointHandler } from '../http/endpoint.ts';
import { type AssetName, assetAddress } from './assets.ts';
import { sendContent, staticContent } from './static-content.ts';

/** A page whose content its scripts make. */
export interface Page {
  readonly title: string;
  readonly styles: readonly AssetName[];
  /** In their order; the last starts the others. */
  readonly scripts: readonly AssetName[];
  /** What the page may do besides loading scripts, styles and the document from this server. */
  readonly policy: Readonly<Record<string, string>>;
}

/** Everything from this server, nothing inline, in nobody's frame. */
const STRICT = {
  'default-src': "'none'",
  'script-src': "'self'",
  'style-src': "'self'",
  'connect-src': "'self'",
  'base-uri': "'none'",
  'form-action': "'none'",
  'frame-ancestors': "'none'",
};

/** Makes the handler of a page. */
export function pageHandler(page: Page): () => EndpointHandler {
  const policy = Object.entries({ ...STRICT, ...page.policy })
    .map(([name, sources]) => `${name} ${sources}`)
    .join('; ');
  return () => async (request, reply) => {
    reply.header('content-security-policy', policy).header('referrer-policy', 'no-referrer');
    return sendContent(await staticContent(await htmlOf(page, request), 'text/html; charset=utf-8'), request, reply);
  };
}

async function htmlOf({ title, styles, scripts }: Page, { url }: FastifyRequest): Promise<string> {
  // Relative, so that a proxy may serve it all below a path of its own.
  const root = url.split('?', 1)[0]?.endsWith('/') ? '../' : '';
  const links = await Promise.all(styles.map(assetAddress));
  const sources = await Promise.all(scripts.map(assetAddress));
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>
<link rel="icon" href="data:,">
${links.map((link) => `<link rel="stylesheet" href="${root}${link}">`).join('\n')}
</head>
<body>
<div id="page"></div>
${sources.map((source) => `<script src="${root}${source}" data-openapi="${root}openapi.json"></script>`).join('\n')}
</body>
</html>
`;
}
