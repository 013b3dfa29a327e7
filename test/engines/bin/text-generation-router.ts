// The web server of the fake TGI; text-generation-launcher.ts starts it. It prints a line when it answers.
import { once } from 'node:events';
import { createServer } from 'node:http';
import { newState } from '../kit/engine-state.ts';
import { faultScript } from '../kit/fault-script.ts';
import { fakeServer, listen } from '../kit/http-server.ts';
import { tgiRoutes } from '../tgi/routes.ts';

const argv = process.argv.slice(2);
const flagged = new Map(argv.flatMap((flag, index) => (flag.startsWith('--') ? [[flag, argv[index + 1] ?? '']] : [])));
const flag = (name: string): string => flagged.get(name) ?? '';

const GUARDED = ['/generate', '/generate_stream', '/v1/chat/completions', '/v1/completions', '/tokenize'];

const state = newState();
const script = faultScript();
const key = flagged.get('--api-key');
const server = fakeServer({
  state,
  routes: tgiRoutes({
    script,
    state,
    model: script.wrongModel ?? flag('--model-id'),
    ownModel: flag('--model-id'),
    shardSocketPath: `${flag('--shard-uds-path')}-0`,
    maxTotalTokens: Number(flag('--max-total-tokens')),
    maxStopTexts: Number(flag('--max-stop-sequences')),
    maxAlternatives: Number(flag('--max-top-n-tokens')),
    maxConcurrentRequests: Number(flag('--max-concurrent-requests')),
  }),
  before: ({ path, headers, response }) => {
    if (key === undefined || !GUARDED.includes(path) || headers.authorization === `Bearer ${key}`) return false;
    response.writeHead(401).end();
    return true;
  },
});

process.on('SIGTERM', () => process.exit(0));
try {
  await listen(server, { port: Number(flag('--port')) });
  const prometheus = createServer((_, response) => response.end());
  prometheus.listen(Number(flag('--prometheus-port')), '127.0.0.1');
  await once(prometheus, 'listening');
} catch (error) {
  const port = (error as { port?: number }).port;
  process.stderr.write(
    `Error: WebServer(Axum(Os { code: 98, kind: AddrInUse, message: "Address already in use" })) ${port}\n`,
  );
  process.exit(1);
}
process.stdout.write('2026-01-08T10:00:00.000000Z  INFO text_generation_router::server: Connected\n');
