import { setTimeout as delay } from 'node:timers/promises';
import { create } from '@bufbuild/protobuf';
import type { Command } from 'commander';
import {
  CancelResponseSchema,
  ListResponseSchema,
  type Task,
  TaskState,
  TaskStateSchema,
  type WatchResponse,
  WatchResponseSchema,
} from '../../../gen/mesh/tasks/v1/tasks_service_pb.ts';
import { printable } from '../../../services/shared/observability/printable.ts';
import { wholeNumber } from '../arguments.ts';
import { type Commands, examples } from '../command.ts';
import { EXIT } from '../exit-code.ts';
import { isBroken } from '../failure.ts';
import { clean, tableLines } from '../output/table.ts';
import { countWord, enumWord, momentWord } from '../output/words.ts';
import { allPages } from '../pages.ts';
import { messageJson, type Session } from '../session.ts';

/** Between two tries to go on with a watch, in milliseconds, and how many in a row may fail. */
const RETRY_MS = 1_000;
const MOST_RETRIES = 30;

export function add(program: Command, { act }: Commands): Command {
  const tasks = program
    .command('tasks')
    .description('Generations that outlive their connection; a key sees its own.')
    .addHelpText(
      'after',
      examples(['inference-mesh tasks list', ''], ['inference-mesh tasks watch 4be1…', 'to its end']),
    );
  tasks
    .command('list')
    .description('Tasks, newest first.')
    .option('-n, --limit <count>', 'at most so many', '50')
    .addHelpText('after', examples(['inference-mesh tasks list -n 5', 'the newest five']))
    .action(act(list));
  tasks
    .command('watch <task-id>')
    .description(
      'Follows a task to its end: its text on standard output, what happens to it on standard error. A connection that breaks is taken up again.',
    )
    .option('--after <event-id>', 'go on after this event', '0')
    .addHelpText('after', examples(['inference-mesh tasks watch 4be1… --after 17', 'where an earlier watch ended']))
    .action(act(watch));
  tasks
    .command('cancel <task-id>')
    .description('Ends a task; what it made is charged.')
    .addHelpText('after', examples(['inference-mesh tasks cancel 4be1…', '']))
    .action(act(cancel));
  return tasks;
}

async function list(session: Session, _args: string[], { limit }: { limit: string }): Promise<void> {
  const most = wholeNumber('--limit', limit, 1, 1_000_000);
  const { tasks } = await session.clients();
  const pages = await allPages(
    (pageToken) => tasks.list({ pageSize: Math.min(most, 1_000), pageToken }, session.call),
    (page) => page.tasks.length,
    most,
  );
  const answer = create(ListResponseSchema, { tasks: pages.flatMap((page) => page.tasks).slice(0, most) });
  session.answer(ListResponseSchema, answer, () =>
    tableLines<Task>(
      [
        { title: 'TASK', of: ({ taskId }) => taskId },
        { title: 'STATE', of: ({ state }) => enumWord(TaskStateSchema, state), style: ({ state }) => styleOf(state) },
        { title: 'PLACE', isFigure: true, of: ({ position }) => (position ? String(position) : '-') },
        { title: 'SUBMITTED', of: ({ submittedAt }) => momentWord(submittedAt), mayShrink: true },
        { title: 'TOKENS', isFigure: true, of: ({ usage }) => (usage ? countWord(usage.completionTokens) : '-') },
        {
          title: 'RESULT',
          of: ({ result, failure }) => failure?.message ?? result?.slice(0, 200) ?? '',
          mayShrink: true,
        },
      ],
      answer.tasks,
      session.out,
    ),
  );
}

function styleOf(state: TaskState): 'green' | 'red' | 'yellow' {
  if (state === TaskState.COMPLETED) return 'green';
  return state === TaskState.FAILED ? 'red' : 'yellow';
}

async function watch(session: Session, [taskId = '']: string[], { after }: { after: string }): Promise<number> {
  const { tasks } = await session.clients();
  const watched = new WatchedTask(session, BigInt(wholeNumber('--after', after, 0, Number.MAX_SAFE_INTEGER)));
  let hasBegun = false;
  for (let failed = 0; ; ) {
    try {
      for await (const event of tasks.watch({ taskId, afterEventId: watched.lastEventId }, session.stream)) {
        failed = 0;
        hasBegun = true;
        watched.take(event);
      }
      if (watched.exitCode !== undefined) return watched.exitCode;
    } catch (error) {
      if (session.signal.aborted) watched.tellWhereToGoOn(taskId);
      // A watch that never began has nothing to take up again.
      const isLost = !hasBegun || failed >= MOST_RETRIES;
      if (session.signal.aborted || !isBroken(error) || isLost) throw error;
    }
    failed += 1;
    session.err.line(session.err.style('dim', `the watch broke off; going on after event ${watched.lastEventId}`));
    await delay(RETRY_MS, undefined, { signal: session.signal });
  }
}

/** What was seen of a task, and what is shown of it. */
class WatchedTask {
  readonly #session: Session;
  lastEventId: bigint;
  /** How the command ends. Unset: the task has not. */
  exitCode: number | undefined;
  #isMidLine = false;

  constructor(session: Session, lastEventId: bigint) {
    this.#session = session;
    this.lastEventId = lastEventId;
  }

  take(response: WatchResponse): void {
    this.lastEventId = response.eventId;
    const { event } = response;
    if (event.case === 'task') this.#end(event.value);
    if (this.#session.isJson) this.#session.json(messageJson(WatchResponseSchema, response));
    else if (event.case === 'delta') this.#write(event.value);
    else if (event.case === 'task') this.#tell(event.value);
  }

  tellWhereToGoOn(taskId: string): void {
    if (!this.#session.isJson)
      this.#note(`go on with: inference-mesh tasks watch ${clean(taskId)} --after ${this.lastEventId}`);
  }

  #end({ state }: Task): void {
    if (state === TaskState.COMPLETED) this.exitCode = EXIT.ok;
    if (state === TaskState.FAILED) this.exitCode = EXIT.failed;
  }

  #write(text: string): void {
    const { out } = this.#session;
    out.write(out.isTerminal ? printable(text) : text);
    if (text !== '') this.#isMidLine = !text.endsWith('\n');
  }

  #tell({ state, position, attempt, failure }: Task): void {
    const words = [enumWord(TaskStateSchema, state)];
    if (position > 0) words.push(`place ${position}`);
    if (attempt > 1) words.push(`run ${attempt}: what came before does not count`);
    if (failure) words.push(`${failure.type}: ${failure.message}`);
    this.#note(words.join(', '));
  }

  #note(words: string): void {
    const { err, out } = this.#session;
    if (this.#isMidLine) out.line();
    this.#isMidLine = false;
    err.line(err.style('dim', clean(words)));
  }
}

async function cancel(session: Session, [taskId = '']: string[]): Promise<void> {
  const { tasks } = await session.clients();
  const answer = await tasks.cancel({ taskId }, session.call);
  session.answer(CancelResponseSchema, answer, () => [`${answer.task?.taskId} is cancelled`]);
}
