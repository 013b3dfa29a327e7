import { globSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { expect, test } from 'vitest';

const root = resolve(import.meta.dirname, '../../..');

/** What makes a server or a client of RPCs or HTTP → the files that may, and what they must name next to it. */
const CONSTRUCTORS: readonly { call: RegExp; files: Record<string, string> }[] = [
  { call: /\bcreateConnectRouter\(/, files: { 'rpc-handler.ts': '...SERVER_LIMITS' } },
  { call: /\bcreateGrpcTransport\(/, files: { 'remote-transport.ts': '...CLIENT_LIMITS' } },
  { call: /\bnew PeerSessions\(/, files: { 'remote-transport.ts': 'HTTP2_CLIENT_LIMITS' } },
  { call: /\bnew Client\(/, files: { 'trunk/trunk-channel.ts': "'grpc.max_receive_message_length': READ_MAX_BYTES" } },
  { call: /\bhttp2\.createServer\(/, files: { 'http-servers.ts': '{ ...limits,' } },
  {
    call: /\btls\.createServer\(/,
    files: {
      'public-tls-server.ts': 'handshakeTimeout: TLS_HANDSHAKE_TIMEOUT_MS',
      'tls-server.ts': 'handshakeTimeout: TLS_HANDSHAKE_TIMEOUT_MS',
    },
  },
  {
    call: /\btls\.connect\(/,
    files: {
      // Engines are servers of others, which may speak TLS 1.2.
      'inference/engines/http/engine-socket.ts': "ALPNProtocols: ['http/1.1']",
      'tls-client.ts': '...TLS_PROTOCOL',
    },
  },
  // Ready-made ones take no limits from us, or none at all.
  { call: /\bnew Http2SessionManager\(/, files: {} },
  { call: /\bconnectNodeAdapter\(/, files: {} },
  { call: /\bcreateConnectTransport\(/, files: {} },
  { call: /\bcreateGrpcWebTransport\(/, files: {} },
  { call: /\bcreateRouterTransport\(/, files: {} },
  { call: /\bcreateSecureServer\(/, files: {} },
];

const sources = globSync('services/**/*.ts', { cwd: root })
  .filter((path) => !/(\.test|\.fixture|\/test-[a-z-]+)\.ts$/.test(path))
  .map((path) => ({ path, text: readFileSync(resolve(root, path), 'utf8') }));

test.each(CONSTRUCTORS)('$call is called with limits only', ({ call, files }) => {
  const callers = sources.filter(({ text }) => call.test(text));
  expect(callers.map(({ path }) => path).sort()).toEqual(Object.keys(files).map(pathOf));
  for (const [name, limits] of Object.entries(files)) {
    const text = callers.find(({ path }) => path === pathOf(name))?.text ?? '';
    const from = text.search(call);
    expect(text.slice(from, from + 300)).toContain(limits);
  }
});

/** Those of this folder are named without it. */
function pathOf(name: string): string {
  return name.startsWith('inference/') ? `services/${name}` : `services/shared/transport/${name}`;
}
