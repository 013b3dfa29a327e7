// What a fake was started with, for the test that started it: a line of JSON per start in the file $FAKE_RECORD.
import { appendFileSync, existsSync, readFileSync } from 'node:fs';

/** One start of a fake. */
export interface StartRecord {
  /** The fake's own process. */
  readonly processId: number;
  /** Its arguments, without the program. */
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** In a fake: writes down what it was started with, if $FAKE_RECORD says where. */
export function recordStart(argv: readonly string[] = process.argv.slice(2)): void {
  const file = process.env.FAKE_RECORD;
  if (file === undefined) return;
  const record = { processId: process.pid, argv, env: process.env };
  appendFileSync(file, `${JSON.stringify(record)}\n`);
}

/** In a test: every start that wrote into a file, the first one first. None yet: an empty list. */
export function readStarts(file: string): StartRecord[] {
  if (!existsSync(file)) return [];
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));
}

/** In a test: the last start that wrote into a file. */
export function lastStart(file: string): StartRecord {
  const start = readStarts(file).at(-1);
  if (!start) throw new Error(`nothing was started with FAKE_RECORD=${file}`);
  return start;
}

/** In a fake: writes down what it leaves behind. */
export function recordSurvivor(processId: number): void {
  const file = process.env.FAKE_RECORD;
  if (file !== undefined) appendFileSync(`${file}.survivors`, `${processId}\n`);
}

/** In a test: the processes that fakes with that file left behind. */
export function readSurvivors(file: string): number[] {
  const name = `${file}.survivors`;
  return existsSync(name) ? readFileSync(name, 'utf8').split('\n').filter(Boolean).map(Number) : [];
}
