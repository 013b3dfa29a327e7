// A fake llama-server. As the real one it answers 503 from the start on until the model is loaded.
import { existsSync } from 'node:fs';
import { readArguments } from '../kit/arguments.ts';
import { newState } from '../kit/engine-state.ts';
import { faultScript } from '../kit/fault-script.ts';
import { fakeServer, listen } from '../kit/http-server.ts';
import { live } from '../kit/life.ts';
import {
  devicesOf,
  LLAMA_SERVER_TOOL,
  llamaServerFailures,
  llamaServerLines,
  llamaServerReadyLines,
  llamaServerRefusal,
  missingAdapterLines,
} from '../llama-server/program.ts';
import { llamaServerRoutes } from '../llama-server/routes.ts';

/** The names of models whose files name a pooling. */
const EMBEDDING_MODEL = /embed|bge|gte|e5/i;
const DEFAULT_VERBOSITY = 3;
const TRAINED_CONTEXT = 8_192;

const given = readArguments(LLAMA_SERVER_TOOL);
const script = faultScript();
const state = newState();
const key = given.value('--api-key') ?? process.env.LLAMA_API_KEY;
const slots = Number(given.value('-np') ?? 4);
const context = Number(given.value('-c') ?? TRAINED_CONTEXT);
const host = given.value('--host') ?? '127.0.0.1';
const verbosity = Number(given.value('-lv') ?? process.env.LLAMA_ARG_LOG_VERBOSITY ?? DEFAULT_VERBOSITY);
const model = script.wrongModel ?? given.value('--alias') ?? given.value('-m') ?? '';
let loaded = false;

const visible = (process.env.CUDA_VISIBLE_DEVICES ?? '').split(',').filter(Boolean);
const refusal = llamaServerRefusal(given, visible.length);
if (refusal !== undefined) {
  process.stderr.write(`${refusal}\n`);
  process.exit(1);
}

const server = fakeServer({
  state,
  routes: llamaServerRoutes({
    script,
    state,
    model,
    slots,
    // Without a number of slots the context is one pool.
    contextTokens: given.has('-np') ? Math.floor(context / slots) : context,
    metrics: given.has('--metrics'),
    embeds: given.has('--embedding'),
    pools: (given.value('--pooling') ?? (EMBEDDING_MODEL.test(given.value('-m') ?? '') ? 'mean' : 'none')) !== 'none',
    // The templates that it has built in know none, nor do those in which there is no such word.
    tools: given.value('--chat-template')?.includes('tools') ?? true,
  }),
  notFound: { error: { code: 404, message: 'File Not Found', type: 'not_found_error' } },
  before: ({ path, headers, reply }) => {
    if (key !== undefined && path !== '/health' && headers.authorization !== `Bearer ${key}`) {
      reply(
        401,
        { error: { message: 'Invalid API Key', type: 'authentication_error', code: 401 } },
        { connection: 'close' },
      );
    } else if (loaded) return false;
    else reply(503, { error: { message: 'Loading model', type: 'unavailable_error', code: 503 } });
    return true;
  },
});

const at = host.endsWith('.sock') ? { socketPath: host } : { port: Number(given.value('--port') ?? 8080) };
await listen(server, at).catch(() => {
  process.stderr.write(`start: couldn't bind HTTP server socket, hostname: ${host}, port: 8080\n`);
  process.exit(1);
});
const devices = devicesOf(given);
const lora = given.value('--lora');
if (lora !== undefined && !existsSync(lora)) {
  process.stderr.write(`${missingAdapterLines(lora).join('\n')}\n`);
  process.exit(1);
}
await live({
  script,
  startLines: llamaServerLines({ model, devices, layers: Number(given.value('-ngl') ?? 0), slots, context }, verbosity),
  readyLines: llamaServerReadyLines(host, verbosity),
  log: 'stderr',
  failures: llamaServerFailures(),
  waitsForClients: { server, state },
  listen: () => {
    loaded = true;
    return Promise.resolve();
  },
});
