import { open, readFile, rm, stat, writeFile } from 'node:fs/promises';
import type { HubAnswer, HubConnection } from './hub-connection.ts';
import type { HubFile } from './hub-listing.ts';
import { PassingFailure, withRetries } from './retry.ts';

/** The bytes are not those that the hub has listed. */
export class WrongBytes extends Error {
  override readonly name = 'WrongBytes';
}

/** One file to fetch. */
export interface Transfer {
  readonly url: URL;
  readonly file: HubFile;
  /** Where the bytes are gathered. What an earlier start has left here is gone on with. */
  readonly partPath: string;
}

/** What a transfer works with. */
export interface TransferResources {
  readonly connection: HubConnection;
  readonly signal: AbortSignal;
  /** Before the second attempt, in milliseconds; doubled with each failure in a row. */
  readonly firstRetryMs: number;
  readonly onBytes: (haveBytes: number) => void;
  readonly onRetry: (problem: string) => void;
}

/** Failures in a row, without a byte more than ever before, that end a transfer: about half a minute. */
const MAX_FAILURES = 6;

/**
 * Fetches until the part has as many bytes as the file. A connection that is cut is resumed; a server that cannot resume
 * sends everything again. What the bytes are is not looked at. The part stays when this fails.
 *
 * @throws WrongBytes when the server's file is of another size; TemporaryError; ConfigError; the signal's reason; errors of
 * the file system.
 */
export async function transfer(what: Transfer, resources: TransferResources): Promise<void> {
  const { partPath, file } = what;
  let reached = await sizeOf(partPath);
  const onBytes = (haveBytes: number): void => {
    reached = Math.max(reached, haveBytes);
    resources.onBytes(haveBytes);
  };
  await withRetries(() => attempt(what, { ...resources, onBytes }), {
    ...resources,
    maxFailures: MAX_FAILURES,
    firstDelayMs: resources.firstRetryMs,
    reached: () => reached,
  });
  if ((await sizeOf(partPath)) !== file.sizeBytes) throw new WrongBytes(`${file.path} has another size than listed`);
}

async function attempt(what: Transfer, { connection, signal, onBytes }: TransferResources): Promise<void> {
  const { url, file, partPath } = what;
  const haveBytes = await sizeOf(partPath);
  if (haveBytes >= file.sizeBytes) return;
  const etag = haveBytes > 0 ? await readEtag(partPath) : undefined;
  const headers = haveBytes > 0 ? { range: `bytes=${haveBytes}-`, ...(etag ? { 'if-range': etag } : {}) } : {};
  const answer = await connection.get(url, headers, signal, [200, 206, 416]);
  const isResumed = answer.status === 206;
  if (isResumed && answer.headers['content-range'] === undefined) {
    answer.discard();
    await removePart(partPath);
    throw new PassingFailure('the server sends a part without saying which; the file is fetched from its beginning');
  }
  if (answer.status === 416 || (isResumed && !continues(answer, haveBytes, etag))) {
    answer.discard();
    await removePart(partPath);
    throw new PassingFailure('the file has changed on the server; it is fetched from its beginning');
  }
  const totalBytes = totalOf(answer);
  if (totalBytes !== undefined && totalBytes !== file.sizeBytes) {
    answer.discard();
    throw new WrongBytes(`${file.path} has ${totalBytes} bytes and not ${file.sizeBytes} as listed`);
  }
  if (!isResumed) await writeEtag(partPath, answer.headers.etag);
  const handle = await open(partPath, isResumed ? 'a' : 'w', 0o600);
  try {
    let written = isResumed ? haveBytes : 0;
    for await (const chunk of answer.bytes()) {
      written += chunk.length;
      if (written > file.sizeBytes) throw new WrongBytes(`${file.path} is longer than listed`);
      await handle.appendFile(chunk);
      onBytes(written);
    }
    if (written < file.sizeBytes) throw new PassingFailure(`the server ended after ${written} bytes`);
    // A power cut must not leave a file that is called verified and lacks bytes.
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Whether a partial answer goes on exactly where our part ends, in the same version of the file. */
function continues({ headers }: HubAnswer, haveBytes: number, etag: string | undefined): boolean {
  const first = /^bytes (\d+)-/.exec(String(headers['content-range'] ?? ''))?.[1];
  const isSame = etag === undefined || headers.etag === undefined || headers.etag === etag;
  return Number(first) === haveBytes && isSame;
}

/** The size of the whole file as the server tells it, in bytes. Undefined: it does not. */
export function totalOf({ status, headers }: Pick<HubAnswer, 'status' | 'headers'>): number | undefined {
  const text = status === 206 ? /\/(\d+)$/.exec(String(headers['content-range']))?.[1] : headers['content-length'];
  return text === undefined ? undefined : Number(text);
}

/** The size of a file in bytes; 0 when there is none. */
export async function sizeOf(path: string): Promise<number> {
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  return found?.size ?? 0;
}

/** Removes what was gathered of a file. */
export async function removePart(partPath: string): Promise<void> {
  await rm(partPath, { force: true });
  await rm(etagPath(partPath), { force: true });
}

const etagPath = (partPath: string): string => `${partPath}.etag`;

/** Only a strong tag says that bytes are the same. */
async function writeEtag(partPath: string, etag: string | string[] | undefined): Promise<void> {
  // First away with the bytes: between the two steps they must not be taken for the new version's.
  await removePart(partPath);
  if (typeof etag === 'string' && etag.startsWith('"')) await writeFile(etagPath(partPath), etag, { mode: 0o600 });
}

async function readEtag(partPath: string): Promise<string | undefined> {
  return readFile(etagPath(partPath), 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
}
