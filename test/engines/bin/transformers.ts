// A fake `transformers serve MODEL`. It loads first and listens then, as the real one does with a pinned model. See
// ../transformers/ for what it says, and ../kit/fault-script.ts for what it does wrong. With $FAKE_OLDER it is a version
// without /health.
import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { flag, readArguments, toggle } from '../kit/arguments.ts';
import { newState } from '../kit/engine-state.ts';
import { faultScript } from '../kit/fault-script.ts';
import { type FakeExchange, fakeServer, listen } from '../kit/http-server.ts';
import { live } from '../kit/life.ts';
import { answerGeneration } from '../transformers/answers.ts';
import { FAILURES, loadLines, readyLines } from '../transformers/texts.ts';

const DEFAULT_PORT = 8_000;

const isOlder = process.env.FAKE_OLDER !== undefined;

const [command, ...rest] = process.argv.slice(2);
if (command !== 'serve') throw new Error('this fake only serves');
const given = readArguments(
  {
    name: 'transformers serve',
    library: 'click',
    words: 1,
    flags: [
      toggle('--continuous-batching', '--no-continuous-batching'),
      toggle('--compile', '--no-compile'),
      toggle('--trust-remote-code', '--no-trust-remote-code'),
      toggle('--enable-cors', '--no-enable-cors'),
      toggle('--cb-use-cuda-graph', '--no-cb-use-cuda-graph'),
      { names: ['--reasoning'], choices: ['on', 'off', 'auto'] },
      ...['--attn-implementation', '--quantization', '--chat-template-kwargs', '--decision-config'].map((name) =>
        flag(name),
      ),
      ...['--device', '--dtype', '--host', '--log-level'].map((name) => flag(name)),
      ...['--model-timeout', '--port', '--default-seed'].map((name) => ({ names: [name], is: 'integer' as const })),
      ...['--cb-block-size', '--cb-num-blocks', '--cb-max-batch-tokens'].map((name) => ({
        names: [name],
        is: 'integer' as const,
      })),
      { names: ['--cb-max-memory-percent'], is: 'number' },
    ],
  },
  rest,
);

const script = faultScript();
const state = newState();
const pinned = script.wrongModel ?? given.words[0] ?? '';
const port = Number(given.value('--port') ?? DEFAULT_PORT);
const generate = (exchange: FakeExchange): Promise<void> => answerGeneration(exchange, { script, state, pinned });
const server = fakeServer({
  state,
  routes: {
    ...(isOlder ? {} : { 'GET /health': ({ reply }: FakeExchange) => reply(200, { status: 'ok' }) }),
    // What is in the cache on the disk, loaded or not; without that folder it stumbles.
    'GET /v1/models': ({ reply }) => {
      const cache = join(process.env.HF_HOME ?? join(homedir(), '.cache', 'huggingface'), 'hub');
      if (!existsSync(cache)) return reply(500, 'Internal Server Error');
      reply(200, { object: 'list', data: [{ id: 'some/other', object: 'model' }] });
    },
    'POST /v1/completions': generate,
    'POST /v1/chat/completions': generate,
  },
});
await live({
  script,
  startLines: loadLines(pinned, isOlder),
  readyLines: readyLines(port),
  log: 'stderr',
  failures: FAILURES,
  listen: () => listen(server, { port }),
});
for (const signal of script.ignoreTerm ? [] : (['SIGTERM', 'SIGINT'] as const)) {
  process.removeAllListeners(signal).once(signal, endByTheSignal);
}

/** As uvicorn: what runs is finished first, then the signal does what it does to any process. */
function endByTheSignal(signal: NodeJS.Signals): void {
  process.stderr.write('INFO:     Shutting down\n');
  if (state.running > 0) process.stderr.write('INFO:     Waiting for connections to close. (CTRL+C to force quit)\n');
  server.close(() => {
    process.kill(process.pid, signal);
  });
  // A connection is kept after its answer otherwise.
  setInterval(() => server.closeIdleConnections(), 10);
}
