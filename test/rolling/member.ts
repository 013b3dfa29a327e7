import { expect } from 'vitest';
import { eventually, type RunningProgram, startProgram } from '../harness/processes.ts';
import type { Backend } from './balancer.ts';

/** Cold processes on a machine that is kept busy. */
const READY_TIMEOUT_MS = 120_000;

/** How long an answer may take until a process counts as not ready, in milliseconds. */
const PROBE_MS = 2_000;

/** What a process is started with. */
export interface MemberOptions {
  readonly name: string;
  readonly port: number;
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly directory: string;
  /** Answers 200 when the process may get work. */
  readonly probe: { readonly path: string; readonly body?: string };
}

/** A process of the mesh that is ended and started again in the same place. */
export class Member implements Backend {
  readonly #options: MemberOptions;
  #program: RunningProgram | undefined;
  readonly #outputs: string[] = [];

  constructor(options: MemberOptions) {
    this.#options = options;
  }

  get name(): string {
    return this.#options.name;
  }

  get port(): number {
    return this.#options.port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** What it printed, over all its lives. */
  get output(): string {
    return [...this.#outputs, this.#program?.output() ?? ''].join('');
  }

  start(): void {
    const { command, environment, directory } = this.#options;
    this.#program = startProgram(process.execPath, command, environment, directory);
  }

  /** Asked on a connection that is not kept. */
  async isReady(): Promise<boolean> {
    const { path, body } = this.#options.probe;
    const answer = await fetch(`${this.url}${path}`, {
      ...(body !== undefined && { method: 'POST', body }),
      headers: { 'content-type': 'application/json', connection: 'close' },
      signal: AbortSignal.timeout(PROBE_MS),
    });
    const text = await answer.text();
    return answer.ok && !text.includes('NOT_SERVING');
  }

  async untilReady(): Promise<void> {
    await eventually(`${this.name} is ready`, () => this.isReady(), READY_TIMEOUT_MS);
  }

  /** Ends it in order. */
  async end(): Promise<void> {
    expect([this.name, await this.#program?.stop()]).toEqual([this.name, 0]);
    this.#outputs.push(this.#program?.output() ?? '');
    this.#program = undefined;
  }

  async kill(): Promise<void> {
    await this.#program?.stop('SIGKILL');
  }
}
