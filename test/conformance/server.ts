// The server that the Connect conformance suite tests: its service behind the listener of the product.
// Usage, by the suite: sh bin/node.sh test/conformance/server.ts <descriptors>
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { ConnectError } from '@connectrpc/connect';
import { pino } from 'pino';
import { listenerSettings } from '../../services/listener-settings.ts';
import { serverConfigSchema } from '../../services/server-config.ts';
import { createHealth } from '../../services/shared/grpc/health.ts';
import { type Access, methodName } from '../../services/shared/interceptors/access.ts';
import { createAuthorizer } from '../../services/shared/interceptors/authorize.ts';
import { startListener } from '../../services/shared/transport/listener.ts';
import { readContract, type WantedServer } from './contract.ts';
import { conformanceRoutes } from './service.ts';

const contract = readContract(process.argv[2] ?? '');
const wanted = fromBinary(contract.message('ServerCompatRequest'), await readFrame()) as unknown as WantedServer;
const directory = mkdtempSync(join(tmpdir(), 'mesh-conformance-'));
const log = pino({ level: process.env.LOG_LEVEL ?? 'silent' }, pino.destination(2));
const tls = wanted.useTls ? { cert: join(directory, 'server.crt'), key: join(directory, 'server.key') } : undefined;
if (tls) {
  writeFileSync(tls.cert, wanted.serverCreds?.cert ?? '');
  writeFileSync(tls.key, wanted.serverCreds?.key ?? '');
}
const entries = contract.service.methods.map((method): [string, Access] => [methodName(method), { kind: 'open' }]);
const listener = await startListener({
  // As the public port of a mesh that nobody has configured.
  ...listenerSettings(serverConfigSchema.parse({ tls }), true, log),
  port: 0,
  routes: [conformanceRoutes(contract)],
  authorizer: createAuthorizer({
    table: new Map(entries),
    authenticate: () => Promise.reject(new Error('all methods are open')),
    meshToken: undefined,
  }),
  health: createHealth(),
  log,
  ...(wanted.messageReceiveLimit > 0 && { readMaxBytes: wanted.messageReceiveLimit }),
  anyTypes: contract.types,
  // The suite looks at every detail of an error; ours would have one that says its reason.
  mapErrors: (error) => ConnectError.from(error),
});
process.once('SIGTERM', () => {
  rmSync(directory, { recursive: true });
  void listener.close();
});
const told = { host: listener.host, port: listener.port, pemCert: wanted.serverCreds?.cert };
writeFrame(toBinary(contract.message('ServerCompatResponse'), create(contract.message('ServerCompatResponse'), told)));

/** A message on standard input after its length of four bytes. */
async function readFrame(): Promise<Buffer> {
  let bytes = Buffer.alloc(0);
  while (bytes.length < 4 || bytes.length < 4 + bytes.readUInt32BE()) {
    const chunk: Buffer | null = process.stdin.read();
    if (chunk) bytes = Buffer.concat([bytes, chunk]);
    else await once(process.stdin, 'readable');
  }
  process.stdin.pause();
  return bytes.subarray(4, 4 + bytes.readUInt32BE());
}

function writeFrame(message: Uint8Array): void {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(message.length);
  process.stdout.write(Buffer.concat([length, message]));
}
