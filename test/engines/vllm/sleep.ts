// The routes of vLLM's development mode by which it sleeps and wakes, as version 0.32.0 answers them.
import type { Arguments } from '../kit/arguments.ts';
import type { FakeRoute } from '../kit/http-server.ts';

/** `onChange` is called before the answer, with whether it sleeps now. */
export function sleepRoutes(args: Arguments, onChange: (asleep: boolean) => void): Readonly<Record<string, FakeRoute>> {
  let asleep = false;
  const go = (next: boolean): void => {
    if (!args.has('--enable-sleep-mode'))
      throw new Error('Sleep mode is not enabled. Please enable sleep mode with --enable-sleep-mode.');
    if (asleep !== next) onChange(next);
    asleep = next;
  };
  return {
    'GET /is_sleeping': ({ reply }) => reply(200, { is_sleeping: asleep }),
    'POST /sleep': ({ reply }) => {
      go(true);
      reply(200, { status: 'sleeping', level: 1 });
    },
    'POST /wake_up': ({ reply }) => {
      go(false);
      reply(200, { status: 'awake' });
    },
  };
}
