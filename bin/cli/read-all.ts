import { text } from 'node:stream/consumers';
import type { InputStream } from './output/terminal.ts';

/** All of an input. @throws the reason of `signal` when that is aborted first: whoever writes may never end. */
export async function readAll(input: InputStream, signal: AbortSignal): Promise<string> {
  signal.throwIfAborted();
  const stopped = new Promise<never>((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
  return await Promise.race([text(input as never), stopped]);
}
