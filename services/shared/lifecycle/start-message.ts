import { printable } from '../observability/printable.ts';

/** What a start tells the person who made it. */
export interface StartSummary {
  /** E.g. "http://127.0.0.1:8000". */
  readonly url: string;
  /** Which services run here. */
  readonly roles: readonly string[];
  /** The engines of this process and what they compute on, e.g. "demo on cpu". */
  readonly engines: readonly string[];
  /** Where the first admin key lies; never the key. Unset: it is not in this process's data directory. */
  readonly adminKeyPath: string | undefined;
  /** Whether people may call the port: it serves the facade. With engines here a command to try is printed. */
  readonly isPublic: boolean;
}

/** The lines that a start prints: where it listens, what it runs, and a command that streams tokens. */
export function startMessage(summary: StartSummary): string {
  const lines = [`inference-mesh listens on ${summary.url} (${summary.roles.join(', ')})`];
  // A server elsewhere may have named its model.
  for (const engine of summary.engines) lines.push(`  model   ${printable(engine)}`);
  if (summary.adminKeyPath !== undefined) lines.push(`  key     ${summary.adminKeyPath}`);
  if (summary.isPublic && summary.engines.length > 0)
    lines.push('', 'Stream some tokens:', '', `  ${curlLine(summary)}`);
  return `${lines.join('\n')}\n\n`;
}

function curlLine(summary: StartSummary): string {
  const key = summary.adminKeyPath === undefined ? '$API_KEY' : `$(cat ${summary.adminKeyPath})`;
  const body = JSON.stringify({ messages: [{ role: 'user', content: 'Hello!' }], stream: true });
  return `curl -N ${summary.url}/v1/chat/completions -H "Authorization: Bearer ${key}" -H 'Content-Type: application/json' -d '${body}'`;
}
