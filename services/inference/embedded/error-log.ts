import { setImmediate } from 'node:timers/promises';
import { type LlamaBinding, LOG_LEVEL } from './llama-binding.ts';

export type ErrorLog = {
  add(line: string): void;
  /** From now on lines are printed to stderr instead of kept. */
  print(): void;
  /** The first line that was kept, after which llama.cpp is silent. */
  first(binding: LlamaBinding): Promise<string | undefined>;
};

/** Keeps llama.cpp's error lines, so that a failed start can end with one line that says why; later prints them. */
export function createErrorLog(): ErrorLog {
  const lines: string[] = [];
  let printing = false;
  return {
    add(line: string): void {
      if (printing) process.stderr.write(`llama.cpp: ${line}\n`);
      else if (line !== '') lines.push(line);
    },
    print(): void {
      printing = true;
    },
    async first(binding: LlamaBinding): Promise<string | undefined> {
      // They arrive from another thread by way of the event loop. What has not arrived when the process exits is printed
      // to stdout, hence the wait and the silence after it.
      await setImmediate();
      binding.setLoggerLogLevel(LOG_LEVEL.none);
      return lines[0];
    },
  };
}
