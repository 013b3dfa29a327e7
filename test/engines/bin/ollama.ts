// A fake `ollama serve`. See ../ollama/ for what it knows, and ../kit/fault-script.ts for what it does wrong. With
// $FAKE_LLAMA_SERVER it is a version with a llama-server below, with $FAKE_TELLS_NOTHING one that does not say what a model
// can do.
import { readArguments } from '../kit/arguments.ts';
import { newState } from '../kit/engine-state.ts';
import { faultScript } from '../kit/fault-script.ts';
import { fakeServer, listen } from '../kit/http-server.ts';
import { live } from '../kit/life.ts';
import { FakeOllama } from '../ollama/server.ts';
import { FAILURES, readyLines, START_LINES } from '../ollama/texts.ts';

const { words } = readArguments({ name: 'ollama serve', library: 'cobra', flags: [], words: 1 });
if (words[0] !== 'serve') throw new Error('this fake only serves');

const script = faultScript();
const state = newState();
const host = process.env.OLLAMA_HOST ?? '127.0.0.1:11434';
const server = fakeServer({
  routes: new FakeOllama(script, state).routes,
  state,
  notFound: '404 page not found',
  before: ({ path }) => {
    process.stdout.write(`[GIN] 2026/08/21 - 10:00:00 | 200 |     1.2ms |       127.0.0.1 | POST     "${path}"\n`);
    return false;
  },
});

// A load takes the time and fails; the server itself is up at once.
const { startMs: _, failStart, ...life } = script;
await live({
  script: failStart !== undefined && FAILURES[failStart].at === 'start' ? { ...life, failStart } : life,
  startLines: START_LINES,
  readyLines: readyLines(host),
  log: 'stderr',
  failures: FAILURES,
  listen: () => listen(server, { port: Number(host.split(':').at(-1)) }),
});
