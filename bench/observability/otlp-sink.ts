/** Takes traces over OTLP and forgets them. Usage: otlp-sink.ts PORT. `GET /` answers how many bytes came. */
import { createServer } from 'node:http';

let bytes = 0;
createServer((request, response) => {
  request.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
  });
  request.on('end', () => {
    if (request.method === 'GET') response.end(String(bytes));
    else response.writeHead(200, { 'content-type': 'application/x-protobuf' }).end();
  });
}).listen(Number(process.argv[2]), '127.0.0.1');
