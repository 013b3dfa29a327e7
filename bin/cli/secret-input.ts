import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';
import { text } from 'node:stream/consumers';
import type { Host } from './host.ts';

/** A secret of one line: from a person without showing it, else all of standard input without the line end. */
export async function readSecretLine({ stdin, stderr }: Host, prompt: string): Promise<string> {
  if (!stdin.isTTY) return (await text(stdin as never)).replace(/\r?\n$/, '');
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input: stdin, output: nowhere, terminal: true });
  // Only now is nothing echoed any more: who sees the prompt may type.
  stderr.write(prompt);
  try {
    return await lines.question('');
  } finally {
    lines.close();
    stderr.write('\n');
  }
}
