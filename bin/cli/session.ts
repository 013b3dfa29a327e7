import { type DescMessage, type MessageShape, toJson } from '@bufbuild/protobuf';
import type { CallOptions } from '@connectrpc/connect';
import { type AddressOptions, findKey, meshUrl } from './address.ts';
import type { Clients } from './connection.ts';
import { EXIT } from './exit-code.ts';
import type { Host, StopSignal } from './host.ts';
import { Output } from './output/terminal.ts';
import { readSecretLine } from './secret-input.ts';

/** Options that every command takes. */
export interface GlobalOptions extends AddressOptions {
  readonly json?: boolean;
  /** Unset or true: where a terminal shows it. */
  readonly color?: boolean;
}

/** The longest that a call which is answered in one piece may take, in milliseconds. */
const CALL_TIMEOUT_MS = 30_000;

/** One run of one command. */
export class Session {
  readonly host: Host;
  readonly options: GlobalOptions;
  readonly out: Output;
  readonly err: Output;
  readonly isJson: boolean;
  readonly url: string;
  readonly #stopping = new AbortController();
  #clients: Promise<Clients> | undefined;
  #onSignal: (signal: StopSignal) => void;
  #endedBy: StopSignal | undefined;

  constructor(host: Host, options: GlobalOptions) {
    this.host = host;
    this.options = options;
    this.isJson = options.json === true;
    const mayColour = options.color !== false;
    this.out = new Output(host.stdout, host.env, mayColour);
    this.err = new Output(host.stderr, host.env, mayColour);
    this.url = meshUrl(options, host.env);
    this.#onSignal = (signal) => this.stop(signal);
    host.onSignal((signal) => this.#onSignal(signal));
  }

  /** Aborted when the command is to end. */
  get signal(): AbortSignal {
    return this.#stopping.signal;
  }

  /** How a command ends that was told to; undefined: it was not. */
  get stopCode(): number | undefined {
    if (this.#endedBy === undefined) return undefined;
    return this.#endedBy === 'SIGINT' ? EXIT.interrupted : EXIT.terminated;
  }

  /** Ends the command: what it calls is cancelled. The second time nothing is waited for. */
  stop(signal: StopSignal): void {
    if (this.#stopping.signal.aborted) this.host.exit(this.stopCode ?? EXIT.interrupted);
    this.#endedBy = signal;
    this.#stopping.abort();
  }

  /** What a signal does instead of ending the command. */
  takeSignals(handler: (signal: StopSignal) => void): void {
    this.#onSignal = handler;
  }

  /** The services of the mesh. @throws CliError when the key cannot be read. */
  clients(): Promise<Clients> {
    this.#clients ??= this.#connect();
    return this.#clients;
  }

  async #connect(): Promise<Clients> {
    const { env, workingDirectory } = this.host;
    const readInput = () => readSecretLine(this, 'API key: ');
    const key = await findKey(this.options, this.url, env, workingDirectory, readInput);
    const { connect } = await import('./connection.ts');
    return connect(this.url, key);
  }

  /** How calls are made that are answered in one piece. */
  get call(): CallOptions {
    return { signal: this.signal, timeoutMs: CALL_TIMEOUT_MS };
  }

  /** How streams are opened: they have no end of their own. */
  get stream(): CallOptions {
    return { signal: this.signal };
  }

  /** Prints an answer: as the JSON of its contract, else in words. */
  answer<D extends DescMessage>(schema: D, message: MessageShape<D>, inWords: () => readonly string[]): void {
    if (this.isJson) this.json(messageJson(schema, message));
    else for (const line of inWords()) this.out.line(line);
  }

  /** Prints a value as one line of JSON. */
  json(value: unknown): void {
    this.out.line(JSON.stringify(value));
  }
}

/** A message as its contract writes it in JSON, with all fields. */
export function messageJson<D extends DescMessage>(schema: D, message: MessageShape<D>): unknown {
  return toJson(schema, message, { alwaysEmitImplicit: true });
}
