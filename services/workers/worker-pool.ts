import cluster, { type Worker } from 'node:cluster';
import { fileURLToPath } from 'node:url';
import type { Logger } from 'pino';
import { ConfigError } from '../shared/lifecycle/config-source.ts';
import { EXIT } from '../shared/lifecycle/exit-code.ts';
import { TemporaryError } from '../shared/lifecycle/temporary-error.ts';
import type { Assignment, FromWorker, ToWorker } from './messages.ts';

/** The program that every worker runs: the one that we are. */
const PROGRAM = fileURLToPath(new URL('../main.ts', import.meta.url));

/** How long a worker that ended stays away, in milliseconds: at first, and at most when it ends again and again. */
const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 10_000;

/** Who served as long as this ended for another reason than the time before, in milliseconds. */
const STEADY_MS = 60_000;

/** What a worker may take for its end besides the time of its streams, in milliseconds; then it is killed. */
const END_MS = 15_000;

/** What workers are made of. */
export interface WorkerPoolOptions<C> {
  readonly count: number;
  /** The environment of the workers. */
  readonly environment: NodeJS.ProcessEnv;
  /** What a worker is to run, at each of its starts; they are counted from 1. */
  readonly assign: (index: number) => Omit<Assignment<C>, 'type' | 'isComplete'>;
  readonly log: Logger;
}

/** Processes that share the public port. */
export interface WorkerPool {
  /**
   * Starts them once, and again whoever ends. Resolves to the public address when all take requests.
   *
   * @throws ConfigError, TemporaryError or Error as the first one ended that could not start; it said why itself.
   */
  start(): Promise<string>;
  /** Has them refuse new work, gives running streams their time and waits until all have ended; then kills what is left. */
  drain(limitMs: number): Promise<void>;
}

/** One of them, through all its starts. */
interface Place {
  readonly index: number;
  worker: Worker | undefined;
  isReady: boolean;
  beganAtMs: number;
  pauseMs: number;
  timer?: NodeJS.Timeout;
}

/**
 * Makes the workers of this process, by `node:cluster`, for a worker of it whose parent is gone ends. They listen by themselves, on
 * a port that the system shares among them: a connection that the cluster has handed to a worker as it dies hangs for ever.
 */
export function createWorkerPool<C>({ count, environment, assign, log }: WorkerPoolOptions<C>): WorkerPool {
  const places: Place[] = Array.from({ length: count }, (_, index) => ({
    ...{ index: index + 1, worker: undefined, isReady: false, beganAtMs: 0, pauseMs: FIRST_PAUSE_MS },
  }));
  const { promise: complete, resolve, reject } = Promise.withResolvers<string>();
  let isComplete = false;
  let isStopping = false;
  let isStarted = false;
  let onGone: () => void = () => {};

  function fork(place: Place): void {
    const worker = cluster.fork(environment);
    Object.assign(place, { worker, isReady: false, beganAtMs: performance.now() });
    const tell = (message: ToWorker<C>): void => void worker.send(message as object, () => {});
    worker.on('message', (message: FromWorker) => {
      if (message.type === 'hello') {
        tell({ type: 'assignment', ...assign(place.index), isComplete });
        if (isStopping) tell({ type: 'stop' });
      } else if (message.type === 'ready') onReady(place, message.url);
    });
    // Its process is gone, and with it whoever reads; 'exit' follows.
    worker.on('error', (err) => log.warn({ err, worker: place.index }, 'a worker cannot be told something'));
    worker.once('exit', (code, signal) => onExit(place, code, signal));
  }

  function onReady(place: Place, url: string): void {
    place.isReady = true;
    log.info({ worker: place.index, processId: place.worker?.process.pid }, 'a worker takes requests');
    if (isComplete || !places.every(({ isReady }) => isReady)) return;
    isComplete = true;
    for (const { worker } of places) worker?.send({ type: 'complete' } satisfies ToWorker<C>, () => {});
    resolve(url);
  }

  function onExit(place: Place, code: number | null, signal: string | null): void {
    place.worker = undefined;
    place.isReady = false;
    onGone();
    if (isStopping) return;
    if (!isComplete) {
      reject(startError(place.index, code, signal));
      return;
    }
    if (performance.now() - place.beganAtMs > STEADY_MS) place.pauseMs = FIRST_PAUSE_MS;
    log.error({ worker: place.index, code, signal, pauseMs: place.pauseMs }, 'a worker ended; it is started again');
    place.timer = setTimeout(fork, place.pauseMs, place);
    place.pauseMs = Math.min(LONGEST_PAUSE_MS, place.pauseMs * 2);
  }

  return {
    start() {
      if (isStarted) return complete;
      isStarted = true;
      cluster.setupPrimary({ exec: PROGRAM, args: [], serialization: 'advanced' });
      for (const place of places) fork(place);
      return complete;
    },
    async drain(limitMs) {
      isStopping = true;
      // Who still waits for the start waits for nothing.
      complete.catch(() => {});
      reject(new TemporaryError('stopped before all workers were ready'));
      for (const { timer, worker } of places) {
        clearTimeout(timer);
        worker?.send({ type: 'stop' } satisfies ToWorker<C>, () => {});
      }
      const kill = setTimeout(() => {
        for (const { worker } of places) worker?.process.kill('SIGKILL');
      }, limitMs + END_MS);
      await new Promise<void>((done) => {
        onGone = () => {
          if (places.every(({ worker }) => worker === undefined)) done();
        };
        onGone();
      });
      clearTimeout(kill);
    },
  };
}

function startError(index: number, code: number | null, signal: string | null): Error {
  const message = `worker ${index} could not start (${signal ?? `exit code ${code}`})`;
  if (code === EXIT.configuration) return new ConfigError(message);
  return code === EXIT.temporary ? new TemporaryError(message) : new Error(message);
}
