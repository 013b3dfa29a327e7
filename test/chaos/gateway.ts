import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { eventually, freePort, type RunningProgram, startProgram } from '../harness/processes.ts';
import type { Outage } from './history.ts';

const main = resolve(import.meta.dirname, '../../services/main.ts');

/** Cold processes on a machine that is kept busy. */
const READY_TIMEOUT_MS = 120_000;

/** The exit code of a start that may go well another time. */
const TEMPORARY = 75;

/** What a gateway is started with. */
export interface GatewayOptions {
  readonly index: number;
  readonly directory: string;
  readonly configFile: string;
  readonly env: Readonly<Record<string, string>>;
  /** Whether its engines are reached through a process of their own. */
  readonly hasNode: boolean;
}

/** A process with facade, router, auth and quota that is killed and stopped; its inference node, where it is another, is not. */
export class Gateway {
  readonly url: string;
  readonly outages: Outage[] = [];
  /** What it printed, over all its lives. */
  readonly outputs: string[] = [];
  readonly #options: GatewayOptions;
  #program: RunningProgram | undefined;
  #node: RunningProgram | undefined;

  private constructor(options: GatewayOptions, port: number) {
    this.#options = options;
    this.url = `http://127.0.0.1:${port}`;
  }

  /** Starts it. Whether it is ready is asked by `ready`. */
  static async start(options: GatewayOptions): Promise<Gateway> {
    const gateway = new Gateway(options, await freePort());
    gateway.#startProgram();
    if (options.hasNode) await gateway.#startNode();
    return gateway;
  }

  get dataDir(): string {
    return join(this.#options.directory, `gateway-${this.#options.index}`);
  }

  async ready(): Promise<void> {
    const isReady = async (): Promise<boolean> => {
      // Started while Redis was stopped it ends, and is to be started again.
      if (this.#program?.child.exitCode === TEMPORARY) this.#startProgram();
      if (this.#program?.child.exitCode !== null) throw new Error(`it ended: ${this.#program?.output()}`);
      return (await fetch(`${this.url}/readyz`, { signal: AbortSignal.timeout(5_000) })).ok;
    };
    await eventually(`gateway ${this.#options.index} is ready`, isReady, READY_TIMEOUT_MS);
  }

  /** Ends it without warning and starts it again after a while. */
  async kill(deadMs: number): Promise<void> {
    await this.#out('killed', async () => {
      await this.#program?.stop('SIGKILL');
      this.outputs.push(this.#program?.output() ?? '');
      await delay(deadMs);
      this.#startProgram();
    });
    await this.ready();
  }

  /** Stands still for so long. */
  async pause(forMs: number): Promise<void> {
    await this.#out('stopped', async () => {
      this.#program?.child.kill('SIGSTOP');
      await delay(forMs);
      this.#program?.child.kill('SIGCONT');
    });
  }

  /** Ends it in order: it settles first what it owes. */
  async stop(): Promise<void> {
    await this.#program?.stop();
    this.outputs.push(this.#program?.output() ?? '');
    await this.#node?.stop();
    this.outputs.push(this.#node?.output() ?? '');
  }

  async #out(kind: Outage['kind'], meanwhile: () => Promise<void>): Promise<void> {
    const fromMs = Date.now();
    await meanwhile();
    this.outages.push({ gateway: this.#options.index, kind, fromMs, toMs: Date.now() });
  }

  #startProgram(): void {
    const { hasNode } = this.#options;
    const roles = ['auth', 'quota', 'router', 'tasks', 'facade', ...(hasNode ? [] : ['inference'])];
    this.#program = this.#run(roles, this.dataDir, Number(new URL(this.url).port), []);
  }

  async #startNode(): Promise<void> {
    const peers = { MESH_PEER_AUTH: this.url, MESH_PEER_ROUTER: this.url };
    this.#node = this.#run(['inference'], `${this.dataDir}-node`, await freePort(), [], peers);
  }

  #run(
    roles: readonly string[],
    dataDir: string,
    port: number,
    args: readonly string[],
    env: Readonly<Record<string, string>> = {},
  ): RunningProgram {
    const { configFile, directory } = this.#options;
    const flags = ['--max-semi-space-size=8', '--disable-warning=ExperimentalWarning', main, '--roles', roles.join()];
    const own = ['--config', configFile, '--port', String(port), '--data-dir', dataDir];
    return startProgram(process.execPath, [...flags, ...own, ...args], { ...this.#options.env, ...env }, directory);
  }
}
