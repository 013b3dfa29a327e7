import { request } from 'node:http';

/** What the streams of one measurement brought, together. */
export interface DecodeRate {
  readonly tokensPerSecond: number;
  readonly firstTokenP50Ms: number;
}

export interface DecodeLoad {
  readonly url: string;
  readonly key: string;
  readonly streams: number;
  /** Each stream goes on past the ends of turn until it has as many. */
  readonly tokens: number;
}

interface Stream {
  readonly startMs: number;
  readonly firstMs: number;
  readonly lastMs: number;
}

/** All streams start at once; the rate counts from the first token of all to the last of all. */
export async function measureDecode(load: DecodeLoad): Promise<DecodeRate> {
  const streams = await Promise.all(Array.from({ length: load.streams }, (_, index) => readStream(load, index)));
  const firstMs = Math.min(...streams.map((stream) => stream.firstMs));
  const lastMs = Math.max(...streams.map((stream) => stream.lastMs));
  const waits = streams.map((stream) => stream.firstMs - stream.startMs).toSorted((a, b) => a - b);
  return {
    tokensPerSecond: ((load.tokens - 1) * load.streams) / ((lastMs - firstMs) / 1e3),
    firstTokenP50Ms: waits[Math.floor(waits.length / 2)] ?? 0,
  };
}

/** Throws where a stream brings another number of tokens than it was asked for. */
async function readStream({ url, key, tokens }: DecodeLoad, index: number): Promise<Stream> {
  const body = JSON.stringify({
    messages: [{ role: 'user', content: `Tell me ${index + 2} jokes.` }],
    stream: true,
    stream_options: { include_usage: true },
    temperature: 0,
    max_tokens: tokens,
    ignore_eos: true,
  });
  const startMs = performance.now();
  const { promise, resolve, reject } = Promise.withResolvers<Stream>();
  const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' };
  const outgoing = request(`${url}/v1/chat/completions`, { method: 'POST', headers, agent: false }, (response) => {
    let firstMs = 0;
    let lastMs = 0;
    let text = '';
    response.setEncoding('utf8');
    response.on('data', (chunk: string) => {
      const isLast = chunk.includes('"finish_reason":"length"');
      // The first event of a stream is the role alone.
      if (firstMs === 0 && /"content":"[^"]/.test(chunk)) firstMs = performance.now();
      if (isLast || !chunk.includes('[DONE]')) lastMs = performance.now();
      text = (text + chunk).slice(-2_000);
    });
    response.on('error', reject);
    response.on('end', () => {
      if (text.includes(`"completion_tokens":${tokens}`)) resolve({ startMs, firstMs, lastMs });
      else reject(new Error(`status ${response.statusCode}, not ${tokens} tokens: ${text.slice(-500)}`));
    });
  });
  outgoing.on('error', reject);
  outgoing.end(body);
  return promise;
}
