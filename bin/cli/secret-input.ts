import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';
import { readAll } from './read-all.ts';
import type { Session } from './session.ts';

/**
 * A secret of one line: from a person without showing it, else all of standard input without the line end.
 *
 * @throws when the command is told to end meanwhile, by Ctrl-C too.
 */
export async function readSecretLine(session: Session, prompt: string): Promise<string> {
  const { host, signal } = session;
  const { stdin, stderr } = host;
  if (!stdin.isTTY) return (await readAll(stdin, signal)).replace(/\r?\n$/, '');
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input: stdin, output: nowhere, terminal: true });
  // In raw mode Ctrl-C is a key, and no signal.
  lines.on('SIGINT', () => session.stop('SIGINT'));
  // Only now is nothing echoed any more: who sees the prompt may type.
  stderr.write(prompt);
  try {
    return await lines.question('', { signal });
  } finally {
    lines.close();
    stderr.write('\n');
  }
}
