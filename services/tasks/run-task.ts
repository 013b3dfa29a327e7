import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { GenerationEvent, Usage } from '../../gen/mesh/generation/v1/generation_event_pb.ts';
import { asMeshError } from '../shared/errors/connect-error.ts';
import { MeshError } from '../shared/errors/mesh-error.ts';
import { NAMES } from '../shared/observability/telemetry-names.ts';
import { FlowControl } from '../shared/transport/flow-control.ts';
import type { Generate } from '../shared/transport/generate.ts';
import { type GenerationSpan, tracedGenerate } from '../shared/transport/traced-generate.ts';
import { attemptEnd } from './attempt-end.ts';
import { DeltaWriter } from './delta-writer.ts';
import { UNREADABLE } from './failures.ts';
import type { ClaimedTask, TaskStore } from './store/task-store.ts';
import type { TokenUsage } from './task.ts';
import { decodeWork, type Work } from './work.ts';

/** What a run needs. */
export interface RunParts {
  readonly store: TaskStore;
  /** The router's front door. */
  readonly generate: Generate;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly log: Logger;
}

/** A task that runs. */
export interface RunningTask {
  readonly claim: ClaimedTask;
  /** Resolves when what became of it is kept, or is another's to decide; 'refused': nothing could run it now. Never rejects. */
  readonly over: Promise<'over' | 'refused'>;
  /** Its claim is lost: the engine is aborted, what it made is charged. */
  lose(): void;
  /** Ends it because this process ends; it goes back into the queue. */
  shutDown(): void;
}

/** The wait before a store that did not answer is told an end again, in milliseconds. */
const RETRY_MS = 250;

/** For how long it is told, in milliseconds; by then the claim has long been lost. */
const TELL_FOR_MS = 120_000;

/** How a generation ended; no error: as it should. */
interface Ended {
  readonly error: MeshError | undefined;
  readonly isLate: boolean;
}

/** Runs a claimed task through the front door, in the name of its submitter. */
export function runTask(parts: RunParts, claim: ClaimedTask): RunningTask {
  const { store, log } = parts;
  const aborter = new AbortController();
  const flow = new FlowControl();
  const writer = new DeltaWriter(store, claim, flow, (cause) => {
    if (cause !== undefined) log.error({ err: cause, taskId: claim.taskId }, 'events of a task cannot be written');
    aborter.abort(new MeshError('CLIENT_GONE', 'The task was cancelled, or is run by another process.'));
  });
  const stopping = new MeshError('SHUTTING_DOWN', 'The process that ran the task is shutting down.');
  return {
    claim,
    over: run(parts, claim, { aborter, flow, writer, stopping }).catch((error: unknown) => {
      // Its lease runs out, and another attempt begins.
      log.error({ err: error, taskId: claim.taskId }, 'the end of a task could not be kept');
      return 'over' as const;
    }),
    lose: () => writer.lose(),
    shutDown: () => aborter.abort(stopping),
  };
}

interface Controls {
  readonly aborter: AbortController;
  readonly flow: FlowControl;
  readonly writer: DeltaWriter;
  /** What ends it when this process ends. */
  readonly stopping: MeshError;
}

async function run(parts: RunParts, claim: ClaimedTask, controls: Controls): Promise<'over' | 'refused'> {
  const { store, now, log } = parts;
  const { aborter, writer, stopping } = controls;
  const work = readable(claim, log);
  if (!work) return await kept(() => store.finish(claim, { state: 'failed', failure: UNREADABLE }));
  const texts: string[] = [];
  let hasTokens = false;
  let usage: TokenUsage | undefined;
  const { error, isLate } = await generated(parts, claim, work, controls, ({ event }) => {
    if (event.case === 'usage') usage = usageOf(event.value);
    if (event.case !== 'delta') return;
    // Reasoning is no part of the result, and is charged all the same.
    hasTokens = true;
    if (event.value.text === '') return;
    texts.push(event.value.text);
    writer.add(event.value.text);
  });
  if (!(await writer.idle())) return 'over';
  if (!error) {
    const outcome = { state: 'completed', result: texts.join(''), usage: usage ?? NOTHING } as const;
    return await kept(() => store.finish(claim, outcome));
  }
  const isStopping = aborter.signal.reason === stopping;
  const ageMs = now() - work.submittedAtMs;
  const end = attemptEnd({ error, attempt: claim.attempt, hasTokens, isLate, isStopping, ageMs, usage });
  if (end.kind === 'finish') return await kept(() => store.finish(claim, end.outcome));
  await kept(() => store.putBack(claim, end.reason));
  return end.reason.consumed || isStopping ? 'over' : 'refused';
}

/** What is to be run; undefined: it cannot be read, now or ever. */
function readable({ taskId, work }: ClaimedTask, log: Logger): Work | undefined {
  try {
    return decodeWork(work);
  } catch (error) {
    log.error({ err: error, taskId }, 'a task cannot be read');
    return undefined;
  }
}

/** One generation, to its end; `onEvent` gets every event. */
function generated(
  { generate }: RunParts,
  { taskId, attempt }: ClaimedTask,
  { request, principal, clientIp, trace, timeLimitMs }: Work,
  { aborter, flow }: Controls,
  onEvent: (event: GenerationEvent) => void,
): Promise<Ended> {
  return new Promise((resolve) => {
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      aborter.abort(new MeshError('DEADLINE_EXCEEDED', 'The time limit of the task is over.'));
    }, timeLimitMs);
    const end = (error?: MeshError): void => {
      clearTimeout(timer);
      resolve({ error, isLate });
    };
    const onBehalfOf = { principal, requestAlreadyCounted: true };
    const call = { requestId: `task_${taskId}_${attempt}`, signal: aborter.signal, flow, onBehalfOf, clientIp, trace };
    try {
      tracedGenerate(generate, taskRun(taskId, attempt))(request, call, { event: onEvent, end, fail: end });
    } catch (error) {
      end(asMeshError(error));
    }
  });
}

/** The span of one run, in the trace of the submission. */
function taskRun(taskId: string, attempt: number): GenerationSpan {
  return {
    kind: 'consumer',
    name: () => 'run task',
    attributes: () => ({ [NAMES.taskId]: taskId, [NAMES.attempt]: attempt }),
  };
}

/** Tells the store until it answers. What it refuses another attempt, or a cancellation, has decided. */
async function kept(tell: () => Promise<boolean>): Promise<'over'> {
  const untilMs = performance.now() + TELL_FOR_MS;
  for (;;) {
    try {
      await tell();
      return 'over';
    } catch (error) {
      if (asMeshError(error).reason !== 'STORE_UNAVAILABLE' || performance.now() > untilMs) throw error;
      await delay(RETRY_MS);
    }
  }
}

const NOTHING: TokenUsage = { promptTokens: 0, completionTokens: 0 };

function usageOf({ promptTokens, completionTokens }: Usage): TokenUsage {
  return { promptTokens, completionTokens };
}
