import { createHash } from 'node:crypto';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { z } from 'zod';

/** What tells one way to run a model from another: the same model needs another amount of memory under other flags. */
export interface RunIdentity {
  /** What it is run by, e.g. "vllm". */
  readonly engine: string;
  readonly model: string;
  /** Everything else of it that the operator chose, as plain data. */
  readonly flags: unknown;
}

/** What models were measured to use of devices, remembered over restarts. */
export interface VramLedger {
  /** What a run like this took of each of its devices at most the last time, in bytes. Unset: it never ran here. */
  measuredBytes(run: RunIdentity): number | undefined;
  /** Remembers what a run takes of each of its devices. The most of one life counts; a new life begins with `begin`. */
  record(run: RunIdentity, bytes: number): void;
  /** A new life of a run: what the last one took counts no longer as soon as the new one is measured. */
  begin(run: RunIdentity): void;
}

const FILE = 'vram-ledger.json';

/** More runs than a node ever has; the oldest measurement is forgotten first. */
const MOST_RUNS = 1_000;

/** A smaller change is noise and is not written. */
const NOTABLE = 0.01;

const rowSchema = z.strictObject({
  engine: z.string(),
  model: z.string(),
  /** Per device. */
  bytes: z.int().min(1),
  measuredAt: z.string(),
});
const fileSchema = z.strictObject({ version: z.literal(1), runs: z.record(z.string(), rowSchema) });

type Row = z.output<typeof rowSchema>;

/** What the ledger works with. */
export interface VramLedgerParts {
  readonly dataDir: string;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly log: Logger;
}

/** Opens the ledger of a data directory. One that cannot be read is put aside and begun anew: it holds nothing but advice. */
export function openVramLedger({ dataDir, now, log }: VramLedgerParts): VramLedger {
  const file = join(dataDir, FILE);
  const rows = new Map<string, Row>(read(file, log));
  /** Runs whose present life has not been measured yet. */
  const fresh = new Set<string>();

  function write(): void {
    for (const oldest of rows.keys()) {
      if (rows.size <= MOST_RUNS) break;
      rows.delete(oldest);
    }
    try {
      const text = JSON.stringify({ version: 1, runs: Object.fromEntries(rows) }, undefined, 2);
      writeFileSync(`${file}.new`, `${text}\n`, { mode: 0o600 });
      renameSync(`${file}.new`, file);
    } catch (error) {
      log.warn({ err: error }, 'what models use of devices could not be kept');
    }
  }

  return {
    measuredBytes: (run) => rows.get(keyOf(run))?.bytes,
    begin: (run) => void fresh.add(keyOf(run)),
    record(run, bytes) {
      const key = keyOf(run);
      const known = rows.get(key)?.bytes ?? 0;
      if (bytes <= 0) return;
      const isNews = fresh.delete(key) ? Math.abs(bytes - known) > known * NOTABLE : bytes > known * (1 + NOTABLE);
      if (!isNews) return;
      // The newest last, whatever place it had.
      rows.delete(key);
      rows.set(key, { engine: run.engine, model: run.model, bytes, measuredAt: new Date(now()).toISOString() });
      write();
    },
  };
}

function keyOf({ engine, model, flags }: RunIdentity): string {
  return createHash('sha256')
    .update(JSON.stringify([engine, model, sorted(flags)]))
    .digest('hex')
    .slice(0, 32);
}

/** The same data with its names in order, so that the order in a configuration file makes no difference. */
function sorted(data: unknown): unknown {
  if (Array.isArray(data)) return data.map(sorted);
  if (typeof data !== 'object' || data === null) return data;
  return Object.entries(data)
    .filter(([, value]) => value !== undefined)
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([name, value]) => [name, sorted(value)]);
}

function read(file: string, log: Logger): [string, Row][] {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') log.warn({ err: error }, 'the VRAM ledger cannot be read');
    return [];
  }
  try {
    return Object.entries(fileSchema.parse(JSON.parse(text)).runs);
  } catch (error) {
    renameSync(file, `${file}.broken`);
    log.warn({ err: error, kept: `${FILE}.broken` }, 'the VRAM ledger is not readable and is begun anew');
    return [];
  }
}
