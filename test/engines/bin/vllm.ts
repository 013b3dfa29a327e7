// A fake `vllm serve`. See ../vllm/ for what it knows, and ../kit/fault-script.ts for what it does wrong.
import { claimGpuMemory, visibleMemoryMiB } from '../fake-nvidia-smi.ts';
import { readArguments } from '../kit/arguments.ts';
import { newState } from '../kit/engine-state.ts';
import { faultScript } from '../kit/fault-script.ts';
import { fakeServer, listen } from '../kit/http-server.ts';
import { live } from '../kit/life.ts';
import { VLLM_SERVE } from '../vllm/flags.ts';
import { refusesKey, vllmRoutes } from '../vllm/server.ts';
import { sleepRoutes } from '../vllm/sleep.ts';
import { FAILURES, READY_LINES, START_LINES } from '../vllm/texts.ts';

const args = readArguments(VLLM_SERVE);
const [command, path] = args.words;
if (command !== 'serve') throw new Error('this fake only serves');

/** What the real one still holds at level 1: its CUDA context and what is not weights or cache. */
const ASLEEP_MIB = 1_200;

const script = faultScript();
const state = newState();
const model = args.value('--served-model-name') ?? path ?? '';
const key = args.values('--api-key')[0] ?? process.env.VLLM_API_KEY;
const server = fakeServer({
  routes: {
    ...vllmRoutes({ script, state, args, model }),
    // As in the real one: whoever reaches the socket may use them, without a key.
    ...(process.env.VLLM_SERVER_DEV_MODE === '1'
      ? sleepRoutes(args, (asleep) => claimGpuMemory(asleep ? ASLEEP_MIB : shareMiB))
      : {}),
  },
  state,
  before: (exchange) => {
    const id = exchange.headers['x-request-id'];
    if (args.has('--enable-request-id-headers') && id) exchange.response.setHeader('x-request-id', id);
    return refusesKey(key, exchange);
  },
});
const socketPath = args.value('--uds');

/** As the real one: its share of each device, whatever the model needs. */
const shareMiB = Math.floor(visibleMemoryMiB() * Number(args.value('--gpu-memory-utilization') ?? 0.9));

await live({
  script,
  beforeReady: () => claimGpuMemory(shareMiB),
  startLines: START_LINES,
  readyLines: READY_LINES,
  log: 'stderr',
  failures: FAILURES,
  waitsForClients: { server, state },
  listen: () =>
    listen(server, socketPath === undefined ? { port: Number(args.value('--port') ?? 8_000) } : { socketPath }),
});
