import { stripVTControlCharacters } from 'node:util';
import { printable } from '../../shared/observability/printable.ts';
import { MASK, withoutSecrets } from '../../shared/observability/redaction.ts';

/** Longer lines are cut, in characters: a flood without line ends must not fill the memory. */
export const LINE_LIMIT = 4_096;

/** The least that is read beyond the limit of a line. */
const MARGIN = 256;

/** Makes lines fit for a log. */
export interface LogText {
  /** How much of a line, in characters, has to be given to `clean` where it is longer. */
  readonly needed: number;
  /** A line without terminal sequences, secrets masked, cut at the limit. It holds on to nothing that it was cut from. */
  clean(line: string): string;
}

/** `secrets` are texts to mask besides what looks like a secret. */
export function createLogText(secrets: readonly string[]): LogText {
  const masked = secrets.filter((secret) => secret !== '').sort((one, other) => other.length - one.length);
  const margin = Math.max(MARGIN, masked[0]?.length ?? 0);
  const needed = LINE_LIMIT + margin;
  return {
    needed,
    clean(line) {
      let text = line.length > needed ? line.slice(0, needed) : line;
      if (text.includes('\x1b')) text = stripVTControlCharacters(text);
      text = printable(text);
      for (const secret of masked) text = text.replaceAll(secret, MASK);
      text = withoutSecrets(text);
      // A secret that was cut in two is in what goes now: masking moves the end towards the limit.
      if (line.length >= needed) text = text.slice(0, -margin);
      // A slice of a string keeps the whole of it alive, here all that came in one read of the pipe.
      return Buffer.from(text.slice(0, LINE_LIMIT)).toString();
    },
  };
}
