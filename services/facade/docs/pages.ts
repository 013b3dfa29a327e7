import type { Endpoint } from '../http/endpoint.ts';
import { pageHandler } from './page.ts';

/** `GET /docs`. */
export const swaggerEndpoint: Endpoint<unknown> = {
  method: 'GET',
  path: '/docs',
  access: 'open',
  tag: 'Documentation',
  summary: 'Swagger UI',
  description: 'A page that shows this document and sends requests.',
  answers: { 200: { description: 'The page.', types: ['text/html'] } },
  handler: pageHandler({
    title: 'Inference mesh – API',
    styles: ['page.css', 'swagger-ui.css'],
    scripts: ['swagger-ui.js', 'swagger-start.js'],
    policy: { 'img-src': "'self' data:" },
  }),
};

/** `GET /redoc`. */
export const redocEndpoint: Endpoint<unknown> = {
  method: 'GET',
  path: '/redoc',
  access: 'open',
  tag: 'Documentation',
  summary: 'ReDoc',
  description: 'A page that shows this document for reading.',
  answers: { 200: { description: 'The page.', types: ['text/html'] } },
  handler: pageHandler({
    title: 'Inference mesh – API',
    styles: ['page.css'],
    scripts: ['redoc.js', 'redoc-start.js'],
    policy: {
      'img-src': "'self' data:",
      // It makes empty style elements and fills them by script; the first hash is that of nothing, the second of its scrollbars.
      'style-src': [
        "'self'",
        "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='",
        "'sha256-QMIg+bpjm3JdElJ388KYke01izlUW0UoNOeKjpMxdgc='",
      ].join(' '),
      // Its search.
      'worker-src': 'blob:',
    },
  }),
};
