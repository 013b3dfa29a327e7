import { readdirSync, type Stats } from 'node:fs';
import { lstat, readdir, rename, rm, stat, symlink } from 'node:fs/promises';
import { join } from 'node:path';

/** The kinds of log files: what the process says, one line per request, and of the first what is an error. */
export const LOG_KINDS = ['app', 'requests', 'errors'] as const;

/** See LOG_KINDS. */
export type LogKind = (typeof LOG_KINDS)[number];

/** The links to the current files, by the names that other systems have for them. */
const LINKS: Readonly<Record<LogKind, string>> = {
  app: 'app.log',
  requests: 'llm_requests.log',
  errors: 'errors.log',
};

/**
 * The name of a log file, e.g. "app_2026-11-21.log", then "app_2026-11-21.2.log". Days are those of UTC, as in the lines.
 *
 * @param index which one of its day, from 1
 */
export function logFileName(kind: LogKind, day: Date, index: number): string {
  return `${kind}_${day.toISOString().slice(0, 10)}${index > 1 ? `.${index}` : ''}.log`;
}

/** The index of the newest file of a kind on a day; 1 where there is none. */
export function newestIndex(directory: string, kind: LogKind, day: Date): number {
  const start = logFileName(kind, day, 1).slice(0, -'.log'.length);
  let newest = 1;
  try {
    for (const name of readdirSync(directory)) {
      const index = name.startsWith(start) ? /^\.(\d+)\.log$/.exec(name.slice(start.length))?.[1] : undefined;
      newest = Math.max(newest, Number(index ?? 1));
    }
  } catch {
    // A directory that is not there holds none.
  }
  return newest;
}

/** Makes the link of a kind lead to a file of the same directory, in one step. A file of that name that is no link stays. */
export async function linkTo(directory: string, kind: LogKind, fileName: string): Promise<void> {
  const link = join(directory, LINKS[kind]);
  const before = await lstat(link).catch(() => undefined);
  if (before && !before.isSymbolicLink()) return;
  // Processes that share the directory do so at the same time; the last one wins, and there is a link all the while.
  const draft = join(directory, `.${LINKS[kind]}.${process.pid}`);
  await rm(draft, { force: true });
  await symlink(fileName, draft);
  await rename(draft, link);
}

/** Removes the oldest files of a kind until `keep` are left. Other files are never touched. */
export async function removeOldFiles(directory: string, kind: LogKind, keep: number): Promise<void> {
  const shape = new RegExp(`^${kind}_\\d{4}-\\d\\d-\\d\\d(\\.\\d+)?\\.log$`);
  const names = (await readdir(directory)).filter((name) => shape.test(name));
  const files = await Promise.all(names.map(async (name) => ({ name, stats: await statOf(join(directory, name)) })));
  const present = files.flatMap(({ name, stats }) => (stats?.isFile() ? [{ name, atMs: stats.mtimeMs }] : []));
  present.sort((a, b) => b.atMs - a.atMs);
  await Promise.all(present.slice(keep).map(({ name }) => rm(join(directory, name), { force: true })));
}

/** Undefined when it is gone: another process of the directory may have removed it. */
async function statOf(path: string): Promise<Stats | undefined> {
  return await stat(path).catch(() => undefined);
}
