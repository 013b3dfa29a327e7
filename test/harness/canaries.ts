import { randomBytes } from 'node:crypto';

/** A text that must be seen nowhere, and what it stands for. */
export interface Canary {
  readonly kind: string;
  readonly text: string;
}

/** A text of random letters and digits that begins with `start`, so that whoever finds it knows what it is. */
export function randomCanary(start: string): string {
  return `${start}${randomBytes(18).toString('hex')}`;
}

/** Where a canary was seen, and in which writing. */
export interface Sighting {
  readonly kind: string;
  readonly form: string;
  readonly place: string;
  /** What stands around it. */
  readonly around: string;
}

/** Every place where one of the canaries stands in the bytes: as it is, in Base64 (also inside a longer text), hex, URL-encoded. */
export function sightings(place: string, bytes: Uint8Array | string, canaries: readonly Canary[]): Sighting[] {
  const haystack = Buffer.from(bytes);
  return canaries.flatMap(({ kind, text }) =>
    [...writings(text)].flatMap(([form, needle]) => {
      const at = haystack.indexOf(needle);
      if (at < 0) return [];
      const around = haystack.subarray(Math.max(0, at - 80), at + needle.length + 20).toString('latin1');
      return [{ kind, form, place, around }];
    }),
  );
}

function writings(text: string): Map<string, string> {
  const hex = Buffer.from(text).toString('hex');
  const forms = new Map([
    ['raw', text],
    ['hex', hex],
    ['HEX', hex.toUpperCase()],
    ['URL-encoded', encodeURIComponent(text)],
    ['URL-encoded throughout', hex.replace(/../g, '%$&')],
    ['URL-encoded THROUGHOUT', hex.toUpperCase().replace(/../g, '%$&')],
  ]);
  for (const offset of [0, 1, 2]) {
    const base64 = base64Within(text, offset);
    forms.set(`Base64 at ${offset}`, base64);
    forms.set(`Base64url at ${offset}`, base64.replaceAll('+', '-').replaceAll('/', '_'));
  }
  return forms;
}

/** What every Base64 writing has of a text that begins `offset` bytes after a group of three. */
function base64Within(text: string, offset: number): string {
  const bytes = Buffer.concat([Buffer.alloc(offset), Buffer.from(text)]);
  const whole = bytes.subarray(0, bytes.length - (bytes.length % 3)).toString('base64');
  // The characters that also depend on what stands before.
  return whole.slice(offset === 0 ? 0 : offset + 1);
}
