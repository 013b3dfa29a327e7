// Asks a process of the mesh for its health by grpc.health.v1 and ends with 0 when it serves, else with 1. For container health
// checks: nothing but node:http2 is loaded, since it runs every few seconds.
// Usage: sh bin/node.sh bin/health-probe.ts [host:port [path]]     – 127.0.0.1:8000 where nothing is said; a path, e.g. /readyz, is asked
// for instead, and must answer 200
import { connect } from 'node:http2';

/** A probe that is late is answered as one that failed, in milliseconds. */
const TIMEOUT_MS = 3_000;

/** A gRPC message of no bytes: the health of the whole process. */
const EMPTY_MESSAGE = Buffer.alloc(5);

/** HealthCheckResponse{status: SERVING} in its gRPC frame. */
const SERVING = Buffer.from([0, 0, 0, 0, 2, 0x08, 1]);

const [address = '127.0.0.1:8000', path] = process.argv.slice(2);

function end(problem?: string): never {
  if (problem !== undefined) process.stderr.write(`${address}: ${problem}\n`);
  process.exit(problem === undefined ? 0 : 1);
}

setTimeout(() => end('no answer'), TIMEOUT_MS);
const session = connect(`http://${address}`).on('error', (error) => end(error.message));
const stream =
  path === undefined
    ? session.request({
        ':method': 'POST',
        ':path': '/grpc.health.v1.Health/Check',
        'content-type': 'application/grpc',
        te: 'trailers',
      })
    : session.request({ ':method': 'GET', ':path': path });
const answer: Buffer[] = [];
let httpStatus = 0;
stream.on('response', (headers) => {
  httpStatus = headers[':status'] ?? 0;
});
stream.on('data', (chunk: Buffer) => answer.push(chunk));
stream.on('error', (error: Error) => end(error.message));
stream.on('end', () => {
  const serves = path === undefined ? Buffer.concat(answer).equals(SERVING) : httpStatus === 200;
  end(serves ? undefined : 'does not serve');
});
stream.end(path === undefined ? EMPTY_MESSAGE : undefined);
