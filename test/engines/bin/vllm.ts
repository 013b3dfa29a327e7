// A fake `vllm serve`. See ../vllm/ for what it knows, and ../kit/fault-script.ts for what it does wrong.
import { readArguments } from '../kit/arguments.ts';
import { newState } from '../kit/engine-state.ts';
import { faultScript } from '../kit/fault-script.ts';
import { fakeServer, listen } from '../kit/http-server.ts';
import { live } from '../kit/life.ts';
import { VLLM_SERVE } from '../vllm/flags.ts';
import { refusesKey, vllmRoutes } from '../vllm/server.ts';
import { FAILURES, READY_LINES, START_LINES } from '../vllm/texts.ts';

const args = readArguments(VLLM_SERVE);
const [command, path] = args.words;
if (command !== 'serve') throw new Error('this fake only serves');

const script = faultScript();
const state = newState();
const model = args.value('--served-model-name') ?? path ?? '';
const key = args.values('--api-key')[0] ?? process.env.VLLM_API_KEY;
const server = fakeServer({
  routes: vllmRoutes({ script, state, args, model }),
  state,
  before: (exchange) => {
    const id = exchange.headers['x-request-id'];
    if (args.has('--enable-request-id-headers') && id) exchange.response.setHeader('x-request-id', id);
    return refusesKey(key, exchange);
  },
});
const socketPath = args.value('--uds');

await live({
  script,
  startLines: START_LINES,
  readyLines: READY_LINES,
  log: 'stderr',
  failures: FAILURES,
  listen: () =>
    listen(server, socketPath === undefined ? { port: Number(args.value('--port') ?? 8_000) } : { socketPath }),
});
