// A fake `transformers serve MODEL`. It loads first and listens then, as the real one does with a pinned model. See
// ../transformers/ for what it says, and ../kit/fault-script.ts for what it does wrong.
import { flag, readArguments, toggle } from '../kit/arguments.ts';
import { newState } from '../kit/engine-state.ts';
import { faultScript } from '../kit/fault-script.ts';
import { type FakeExchange, fakeServer, listen } from '../kit/http-server.ts';
import { live } from '../kit/life.ts';
import { answerGeneration } from '../transformers/answers.ts';
import { FAILURES, loadLines, readyLines } from '../transformers/texts.ts';

const DEFAULT_PORT = 8_000;

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
    'GET /health': ({ reply }) => reply(200, { status: 'ok' }),
    // What is in the cache on the disk, loaded or not.
    'GET /v1/models': ({ reply }) => reply(200, { object: 'list', data: [{ id: 'some/other', object: 'model' }] }),
    'POST /v1/completions': generate,
    'POST /v1/chat/completions': generate,
  },
});
await live({
  script,
  startLines: loadLines(pinned),
  readyLines: readyLines(port),
  log: 'stderr',
  failures: FAILURES,
  listen: () => listen(server, { port }),
});
