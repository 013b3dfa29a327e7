import { setTimeout as delay } from 'node:timers/promises';
import type { Command } from 'commander';
import { decimalNumber } from '../arguments.ts';
import { type Commands, examples } from '../command.ts';
import { EXIT } from '../exit-code.ts';
import { failureOf } from '../failure.ts';
import type { Session } from '../session.ts';
import { FullScreen } from '../top/full-screen.ts';
import { Looker } from '../top/looker.ts';
import { screenLines, viewLines } from '../top/screen.ts';
import { type Sample, type View, viewOf } from '../top/view.ts';

/** Rates that are kept for the line of earlier ones; no window is wider. */
const MOST_HISTORY = 1_000;
const CTRL_C = '\u0003';

interface TopOptions {
  readonly interval: string;
  readonly once?: boolean;
}

export function add(program: Command, { act }: Commands): Command {
  return program
    .command('top')
    .description(
      'Devices, engines, tokens per second and the queue, live in one screen; q leaves. Without a terminal, or with --json, it prints them once.',
    )
    .option('-i, --interval <seconds>', 'between two looks, 0.2 to 60', '1')
    .option('--once', 'print one view and end')
    .addHelpText('after', examples(['inference-mesh top --json', 'one view, its rates over one interval']))
    .action(act(top));
}

async function top(session: Session, _args: string[], options: TopOptions): Promise<number> {
  const intervalMs = decimalNumber('--interval', options.interval, 0.2, 60) * 1_000;
  // What cannot be reached at all is an error and no screen.
  const looker = new Looker(session);
  const first = await looker.look(session.signal);
  if (options.once || session.isJson || !session.out.isTerminal)
    return await printOnce(session, looker, first, intervalMs);
  return await live(session, looker, first, intervalMs);
}

async function printOnce(session: Session, looker: Looker, first: Sample, intervalMs: number): Promise<number> {
  await delay(intervalMs, undefined, { signal: session.signal });
  const view = viewOf(session.url, await looker.look(session.signal), first);
  if (session.isJson) session.json(view);
  else for (const line of viewLines(view, session.out)) session.out.line(line);
  return EXIT.ok;
}

async function live(session: Session, looker: Looker, first: Sample, intervalMs: number): Promise<number> {
  const screen = new FullScreen(session.out, session.host);
  const leaving = new AbortController();
  const history: number[] = [];
  let before = first;
  let view: View = viewOf(session.url, first, undefined);
  let problem: string | undefined;
  const draw = (): void => {
    const time = new Date().toTimeString().slice(0, 8);
    screen.show(screenLines(view, { time, history, problem }, session.out));
  };
  const onKey = (key: string): void => {
    if (key.includes(CTRL_C)) session.stop('SIGINT');
    else if (key.includes('q')) leaving.abort();
  };
  const ended = AbortSignal.any([leaving.signal, session.signal]);
  screen.open(onKey, draw);
  try {
    for (;;) {
      draw();
      await delay(intervalMs, undefined, { signal: ended });
      try {
        const now = await looker.look(ended);
        view = viewOf(session.url, now, before);
        before = now;
        problem = undefined;
        history.push(view.tokensPerSecond);
        if (history.length > MOST_HISTORY) history.shift();
      } catch (error) {
        if (ended.aborted) throw error;
        // The mesh may come back; until then the last view stays.
        problem = failureOf(error, session.url).message;
      }
    }
  } catch (error) {
    if (ended.aborted) return EXIT.ok;
    throw error;
  } finally {
    screen.close();
  }
}
