import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { hasPython, pythonEnvironment } from './python-environment.ts';

const SCRIPT = join(import.meta.dirname, 'python/calls.py');

/** An HTTP call as a system documents it. */
export interface RestCall {
  readonly method: string;
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as JSON. */
  readonly body?: unknown;
  /** Sent as it is, instead of `body`. */
  readonly text?: string;
  /** Whether the answer is read as it comes, line by line. */
  readonly stream?: boolean;
}

/** What came. */
export interface RestAnswer {
  readonly status: number;
  /** By name in small letters. */
  readonly headers: Readonly<Record<string, string>>;
  readonly text: string;
}

/** Something that sends HTTP calls the way its users do. */
export interface RestClient {
  send(call: RestCall): Promise<RestAnswer>;
  close(): void;
}

/** The clients that can run here, each by its name: `fetch`, and `requests` of Python. */
export function restClients(): [name: string, start: () => Promise<RestClient>][] {
  const python = hasPython() ? [['requests of Python', startRequests] as [string, () => Promise<RestClient>]] : [];
  return [['fetch', async () => ({ send: sendByFetch, close: () => undefined })], ...python];
}

async function sendByFetch({ method, url, headers = {}, body, text }: RestCall): Promise<RestAnswer> {
  const isJson = body !== undefined;
  const response = await fetch(url, {
    method,
    headers: { ...(isJson ? { 'content-type': 'application/json' } : {}), ...headers },
    body: isJson ? JSON.stringify(body) : (text ?? null),
  });
  return { status: response.status, headers: Object.fromEntries(response.headers), text: await response.text() };
}

async function startRequests(): Promise<RestClient> {
  const child = spawn(await pythonEnvironment(), ['-B', SCRIPT], { stdio: 'pipe' });
  let problem = '';
  child.stderr.on('data', (chunk) => {
    problem += chunk;
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    async send({ headers = {}, stream = false, ...call }) {
      child.stdin.write(`${JSON.stringify({ ...call, headers, stream })}\n`);
      const { value, done } = await lines.next();
      if (done) throw new Error(`requests failed: ${problem}`);
      const answer = JSON.parse(value) as RestAnswer;
      const named = Object.entries(answer.headers).map(([name, text]) => [name.toLowerCase(), text]);
      return { ...answer, headers: Object.fromEntries(named) };
    },
    // The script ends with its input.
    close: () => child.stdin.end(),
  };
}
