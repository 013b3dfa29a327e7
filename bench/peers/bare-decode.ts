/**
 * node-llama-cpp's own decode loop and nothing else: what its users get in one process without a server.
 * Usage: bare-decode.ts MODEL TOKENS THREADS (0: the library's own choice). Prints the tokens per second of one greedy sequence.
 */
import { getLlama, LlamaLogLevel } from 'node-llama-cpp';

const [modelPath = '', tokenCount = '', threads = ''] = process.argv.slice(2);
const WARM_UP_TOKENS = 64;

const llama = await getLlama({ gpu: false, build: 'never', logLevel: LlamaLogLevel.error });
const model = await llama.loadModel({ modelPath });
const context = await model.createContext({ sequences: 1, ...(threads === '0' ? {} : { threads: Number(threads) }) });
const sequence = context.getSequence();

/** Seconds from the first token to the last of `count`. */
async function decode(count: number): Promise<number> {
  await sequence.clearHistory();
  let startMs = 0;
  let decoded = 0;
  const prompt = model.tokenize('<|user|>Tell me a joke.<|end|><|assistant|>', true);
  for await (const _ of sequence.evaluate(prompt, { temperature: 0, yieldEogToken: true })) {
    if (decoded === 0) startMs = performance.now();
    if (++decoded > count) break;
  }
  const seconds = (performance.now() - startMs) / 1e3;
  if (decoded <= count) throw new Error(`ended after ${decoded} of ${count} tokens`);
  return seconds;
}

await decode(WARM_UP_TOKENS);
console.log(Number(tokenCount) / (await decode(Number(tokenCount))));
await llama.dispose();
