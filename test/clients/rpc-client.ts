import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

/** What every call may carry. */
interface CallOptions {
  /** Sent as `authorization: Bearer`. */
  readonly key: string;
  /** Sent as `x-request-id`. */
  readonly requestId?: string;
  /** The deadline. */
  readonly timeoutMs?: number;
}

/** What a client is told to do. Programs read it as a line of JSON. */
export type Command =
  /** From now on calls go there, e.g. "127.0.0.1:8000"; over TLS where the authority's file is given; with PINGs so often. */
  | { readonly do: 'connect'; readonly address: string; readonly ca?: string; readonly keepaliveMs?: number }
  /** RouterService.ListModels. */
  | ({ readonly do: 'models' } & CallOptions)
  /** RouterService.Generate of the text "hi", cancelled after so many deltas. */
  | ({ readonly do: 'generate'; readonly maxTokens: number; readonly cancelAfterDeltas?: number } & CallOptions)
  /** RouterService.Embed of `count` texts of `textBytes` bytes each. */
  | ({
      readonly do: 'embed';
      readonly count: number;
      readonly textBytes: number;
      readonly dimensions: number;
    } & CallOptions);

/** Details of an error, decoded by the client. */
export interface ToldDetails {
  readonly reason?: string;
  readonly domain?: string;
  readonly metadata?: Readonly<Record<string, string>>;
  readonly retryDelayMs?: number;
  readonly violations?: readonly { readonly subject: string; readonly description: string; readonly quotaId: string }[];
}

/** What a client tells of a call. Programs write it as a line of JSON. */
export interface Told {
  /** "OK", else the name of the code, e.g. "CANCELLED". */
  readonly code: string;
  readonly message?: string;
  readonly details?: ToldDetails;
  /** The header `x-request-id` of the answer. */
  readonly requestIdHeader?: string;
  /** Ids of the models. */
  readonly models?: readonly string[];
  /** The kinds of the events that came, in order. */
  readonly events?: readonly string[];
  readonly text?: string;
  /** As `started` says. */
  readonly requestId?: string;
  /** As `usage` says. */
  readonly completionTokens?: number;
  /** Of each vector: how long it is, and its last component. */
  readonly vectors?: readonly (readonly [length: number, last: number])[];
}

/** A client in some language that does what it is told, one thing at a time. */
export interface RpcClient {
  call(command: Command): Promise<Told>;
  close(): Promise<void>;
}

/** Starts a program that is a client. Of the environment it inherits no proxy, which has no part in this. */
export function startClientProgram(program: string, args: readonly string[]): RpcClient {
  const { PATH = '', HOME = '' } = process.env;
  const child = spawn(program, [...args], { env: { PATH, HOME }, stdio: 'pipe' });
  let problem = '';
  child.stderr.on('data', (chunk) => {
    problem += chunk;
  });
  child.on('error', (error) => {
    problem += error;
  });
  // A program that has ended takes no command; its end is told by what does not come.
  child.stdin.on('error', () => {});
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const closed = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const reap = (): void => void child.kill('SIGKILL');
  process.once('exit', reap);
  void closed.then(() => process.removeListener('exit', reap));
  let isBusy = false;
  return {
    async call(command) {
      // Its answer would be taken for that of another.
      if (isBusy) throw new Error('the client has not answered the command before this one');
      isBusy = true;
      child.stdin.write(`${JSON.stringify(command)}\n`);
      const { value, done } = await lines.next();
      if (done) throw new Error(`${program} has ended: ${problem}`);
      isBusy = false;
      return JSON.parse(value) as Told;
    },
    async close() {
      child.stdin.end();
      // One that waits for an answer may wait for ever.
      if (isBusy) reap();
      await closed;
    },
  };
}
