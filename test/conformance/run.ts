// `npm run test:conformance [-- flags of connectconformance]`: the Connect conformance suite against the listener of the product,
// over HTTP/1.1, HTTP/2 without and with TLS, by Connect, gRPC and gRPC-Web. It needs Go; without it what is nearest runs instead.
import { spawnSync } from 'node:child_process';
import { join, resolve } from 'node:path';
import { installSuite } from './install.ts';

const root = resolve(import.meta.dirname, '../..');

/**
 * What stands in for the suite without Go, as arguments of vitest: Connect's own clients of all protocols, `buf curl` and grpc-js
 * against the same listener and a whole mesh; then clients in Python and others, those that can run here.
 */
const SUBSTITUTE = [
  [
    'services/shared/transport/listener.test.ts',
    'services/shared/transport/unknown-method.test.ts',
    'test/e2e/protocols.test.ts',
  ],
  ['--config', 'test/clients/vitest.config.ts'],
];

function run(program: string, args: string[]): number {
  return spawnSync(program, args, { cwd: root, stdio: 'inherit' }).status ?? 1;
}

const suite = installSuite(root);
if ('absent' in suite) {
  console.log(`test:conformance: the suite is skipped: ${suite.absent}. Other clients run instead.`);
  const vitest = join(root, 'node_modules/vitest/vitest.mjs');
  process.exit(Math.max(...SUBSTITUTE.map((selection) => run(process.execPath, [vitest, 'run', ...selection]))));
}
const config = ['--conf', 'test/conformance/suite.yaml', '--known-failing', '@test/conformance/known-failing.txt'];
const server = ['sh', 'bin/node.sh', 'test/conformance/server.ts', suite.descriptors];
process.exitCode = run(suite.program, ['--mode', 'server', ...config, ...process.argv.slice(2), '--', ...server]);
