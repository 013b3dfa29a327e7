/**
 * The plainest token-aware gateway: node:http on both sides, a static bearer check, every event parsed and rebuilt.
 * What a gateway on Node costs without routing, quota, cancellation rules or accounting.
 * Usage: sh bin/node.sh bench/node-proxy.ts PORT ENGINE_PORT TOKEN
 */
import { Agent, createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';

const [port, enginePort, token] = process.argv.slice(2);
const agent = new Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY, maxFreeSockets: 4096 });

async function proxy(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
  if (incoming.headers.authorization !== `Bearer ${token}`) {
    response.writeHead(401).end();
    return;
  }
  const chat = JSON.parse(Buffer.concat(await incoming.toArray()).toString('utf8'));
  const body = Buffer.from(JSON.stringify(chat));
  const upstream = request({
    agent,
    host: '127.0.0.1',
    port: enginePort,
    method: 'POST',
    path: incoming.url,
    headers: { 'content-type': 'application/json', 'content-length': body.length },
  });
  upstream.on('error', () => response.destroy());
  response.on('close', () => upstream.destroy());
  upstream.on('response', (answer) => {
    if (chat.stream) relayEvents(answer, response);
    else answer.pipe(response.writeHead(answer.statusCode ?? 502, { 'content-type': 'application/json' }));
  });
  upstream.end(body);
}

function relayEvents(answer: IncomingMessage, response: ServerResponse): void {
  response.writeHead(answer.statusCode ?? 502, { 'content-type': 'text/event-stream' });
  answer.setEncoding('utf8');
  let rest = '';
  answer.on('data', (text: string) => {
    const events = (rest + text).split('\n\n');
    rest = events.pop() ?? '';
    for (const event of events) {
      const data = event.slice('data: '.length);
      response.write(`data: ${data === '[DONE]' ? data : JSON.stringify(JSON.parse(data))}\n\n`);
    }
  });
  answer.on('end', () => response.end());
}

createServer({ keepAliveTimeout: 0, requestTimeout: 0 }, (incoming, response) => {
  proxy(incoming, response).catch((error: unknown) => response.destroy(error instanceof Error ? error : undefined));
}).listen(Number(port), '127.0.0.1', 4096);
