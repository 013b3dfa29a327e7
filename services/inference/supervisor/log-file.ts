import { type FileHandle, mkdir, open, rename } from 'node:fs/promises';
import { dirname } from 'node:path';

/** How large a file becomes before it is put aside, in bytes. */
const FILE_LIMIT_BYTES = 10 * 1024 * 1024;

/** How many files there are, the one that is written included. */
const FILES = 3;

/** How much waits for a slow disk before text is left out, in characters. */
const WAITING_LIMIT = 1024 * 1024;

/** A file that grows to a limit, is put aside as `<path>.1`, then `<path>.2`, and begun anew. */
export interface LogFile {
  /** Adds whole lines. Never throws or waits; what a slow disk cannot take is left out, and the file says how much. */
  write(text: string): void;
  /** Writes what waits and closes. Never rejects. */
  close(): Promise<void>;
}

/** What surrounds a file. */
export interface LogFileOptions {
  /** Is told that the file cannot be written, once until it can be again. */
  readonly onProblem: (error: Error) => void;
  /** Default 10 MiB. */
  readonly limitBytes?: number;
}

/** A file that is opened for adding at the first write; its directory is made (mode 0700). */
export function createLogFile(path: string, { onProblem, limitBytes = FILE_LIMIT_BYTES }: LogFileOptions): LogFile {
  let waiting = '';
  let leftOut = 0;
  let file: FileHandle | undefined;
  let bytes = 0;
  let writing: Promise<void> | undefined;
  let hasProblem = false;

  /** One writer at a time; what comes meanwhile goes in one write afterwards. */
  async function writeWaiting(): Promise<void> {
    while (waiting !== '') {
      const text =
        leftOut > 0 ? `${waiting}[mesh] ${leftOut} characters were left out: the disk is slow or full\n` : waiting;
      waiting = '';
      leftOut = 0;
      try {
        await append(text);
        hasProblem = false;
      } catch (error) {
        leftOut += text.length;
        if (!hasProblem) onProblem(error as Error);
        hasProblem = true;
      }
    }
    writing = undefined;
  }

  async function append(text: string): Promise<void> {
    file ??= await openFile();
    const data = Buffer.from(text);
    await file.appendFile(data);
    bytes += data.length;
    if (bytes >= limitBytes) await putAside();
  }

  async function openFile(): Promise<FileHandle> {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    const opened = await open(path, 'a', 0o600);
    bytes = (await opened.stat()).size;
    return opened;
  }

  async function putAside(): Promise<void> {
    await closeFile();
    for (let number = FILES - 1; number > 0; number--) {
      await renameIfThere(number === 1 ? path : `${path}.${number - 1}`, `${path}.${number}`);
    }
  }

  async function closeFile(): Promise<void> {
    const closing = file;
    file = undefined;
    await closing?.close();
  }

  return {
    write(text) {
      if (waiting.length + text.length > WAITING_LIMIT) leftOut += text.length;
      else waiting += text;
      if (waiting !== '') writing ??= writeWaiting();
    },
    async close() {
      await writing;
      await closeFile().catch(onProblem);
    },
  };
}

async function renameIfThere(from: string, to: string): Promise<void> {
  try {
    await rename(from, to);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}
