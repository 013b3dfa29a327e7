// An OpenAI-compatible engine that sends one token and holds the second one until told. Usage: held-engine.ts <port>
// GET /release lets all that wait go on; GET /held says how many wait.
import { createServer } from 'node:http';

const waiting = new Set<() => void>();

const server = createServer((request, response) => {
  if (request.url === '/release') {
    for (const goOn of waiting) goOn();
    waiting.clear();
    return void response.end('released\n');
  }
  if (request.url === '/held') return void response.end(`${waiting.size}\n`);
  if (request.method === 'GET') {
    return void response
      .setHeader('content-type', 'application/json')
      .end(JSON.stringify({ object: 'list', data: [{ id: 'held', object: 'model', created: 1, owned_by: 'test' }] }));
  }
  request.resume();
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  const send = (delta: object, more: object = {}): void => {
    const choice = { index: 0, delta, finish_reason: null, ...more };
    const chunk = { id: 'c', object: 'chat.completion.chunk', created: 1, model: 'held', choices: [choice] };
    response.write(`data: ${JSON.stringify(chunk)}\n\n`);
  };
  send({ role: 'assistant', content: 'first' });
  waiting.add(() => {
    send({ content: ' second' });
    send({}, { finish_reason: 'stop' });
    const usage = { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 };
    const last = { id: 'c', object: 'chat.completion.chunk', created: 1, model: 'held', choices: [], usage };
    response.end(`data: ${JSON.stringify(last)}\n\ndata: [DONE]\n\n`);
  });
});
server.listen(Number(process.argv[2]), '127.0.0.1');
