// Sends requests as fast as it can from one address and prints what came: {"codes":{"200":…},"body":"of the first that was refused"}.
// Usage: flood.ts <url> <count> <local address>
import { Agent, request } from 'node:https';

const [url = '', count = '', localAddress = ''] = process.argv.slice(2);
const agent = new Agent({ keepAlive: true, maxSockets: 20, rejectUnauthorized: false });
const codes: Record<string, number> = {};
let refusal = '';

function send(): Promise<void> {
  return new Promise((resolve, reject) => {
    const sent = request(url, { agent, localAddress }, (response) => {
      const code = String(response.statusCode);
      codes[code] = (codes[code] ?? 0) + 1;
      let body = '';
      response.setEncoding('utf8').on('data', (text: string) => {
        body += text;
      });
      response.on('end', () => {
        if (code !== '200') refusal ||= `${JSON.stringify(response.headers)}\n${body}`;
        resolve();
      });
    });
    sent.on('error', reject).end();
  });
}

await Promise.all(Array.from({ length: Number(count) }, send));
agent.destroy();
console.log(JSON.stringify({ codes, refusal }));
