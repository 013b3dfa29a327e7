import type { IncomingMessage } from 'node:http';

/** Why a request is not answered: a status and what the caller is told. */
export interface RequestProblem {
  readonly status: 400 | 408 | 413 | 421 | 431 | 501 | 505;
  readonly text: string;
}

const VERSION: RequestProblem = { status: 505, text: 'Only HTTP/1.0, HTTP/1.1 and HTTP/2 are spoken here.' };
const HOST: RequestProblem = { status: 400, text: 'The Host header is missing or there more than once.' };
const FRAMING: RequestProblem = { status: 400, text: 'HTTP/1.0 has no Transfer-Encoding.' };
const CODING: RequestProblem = { status: 501, text: 'Transfer-Encoding: only chunked is understood.' };

/**
 * Tells what makes a request of HTTP/1 ambiguous that Node's parser lets pass: a server before this one may have understood
 * another request.
 */
export function shapeProblem({ httpVersion, headers, rawHeaders }: IncomingMessage): RequestProblem | undefined {
  if (httpVersion !== '1.1' && httpVersion !== '1.0') return VERSION;
  const hosts = hostsIn(rawHeaders);
  if (hosts > 1 || (hosts === 0 && httpVersion === '1.1')) return HOST;
  const coding = headers['transfer-encoding'];
  if (coding === undefined) return undefined;
  if (httpVersion === '1.0') return FRAMING;
  return coding.toLowerCase() === 'chunked' ? undefined : CODING;
}

/** Node keeps the first and drops the others. */
function hostsIn(rawHeaders: readonly string[]): number {
  let count = 0;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index];
    if (name?.length === 4 && name.toLowerCase() === 'host') count += 1;
  }
  return count;
}
