import type { OpenAiChunk } from './openai-chunk.ts';
import { parseEngineJson } from './told-error.ts';

const QUOTE = 34;

const BACKSLASH = 92;
/** What is below must not stand in a JSON string. */
const FIRST_PLAIN = 32;

/** How often in a row it is learned without use: a server may put something new into every chunk. */
const MOST_TRIES = 3;

/** Stands where a text did, to see whether it is the chunk's text that changes with it. */
const PROBE = 'probe';

/**
 * The chunks of a stream that differ from each other in their text alone, as most do: what is around it is compared, and only the text
 * is cut out. That takes a tenth of the time of parsing each of them and leaves hardly any garbage. They are compared as strings in which
 * each character is a byte: Buffer's own comparison costs more than the bytes.
 */
export class RepeatedChunk {
  /** What an event begins and ends with, the quotes of the text included; each character is a byte. */
  #before = '';
  #after = '';
  #tries = 0;

  /** Hands out the texts of the events at the start of `bytes` that are like the one learned; returns where the rest begins. */
  take(bytes: Buffer, onText: (text: string) => void): number {
    const before = this.#before;
    const after = this.#after;
    if (before === '') return 0;
    const all = bytes.toString('latin1');
    let start = 0;
    for (;;) {
      const textAt = start + before.length;
      if (all.slice(start, textAt) !== before) return start;
      const textEnd = endOfPlain(all, textAt);
      const end = textEnd + after.length;
      if (textEnd === textAt || all.slice(textEnd, end) !== after) return start;
      this.#tries = 0;
      // A copy: a part of `all` would keep all of it.
      onText(bytes.toString('utf8', textAt, textEnd));
      start = end;
    }
  }

  /** Learns from the data of an event that says nothing besides `text`, as `textIn` finds it. */
  learn(data: string, text: string, textIn: (chunk: OpenAiChunk) => unknown): void {
    if (this.#tries >= MOST_TRIES) return;
    this.#tries++;
    const literal = JSON.stringify(text);
    const at = data.indexOf(literal);
    if (at === -1) return;
    const before = data.slice(0, at + 1);
    const after = data.slice(at + literal.length - 1);
    // The same letters may stand elsewhere, in the model's name for one.
    const isText = tells(PROBE, `${before}${PROBE}${after}`, textIn);
    this.#before = isText ? Buffer.from(`data: ${before}`).toString('latin1') : '';
    this.#after = isText ? Buffer.from(`${after}\n\n`).toString('latin1') : '';
  }
}

function tells(text: string, data: string, textIn: (chunk: OpenAiChunk) => unknown): boolean {
  try {
    return textIn(parseEngineJson(data) as OpenAiChunk) === text;
  } catch {
    return false; // A text like "," stands between any two names.
  }
}

/** Where the text ends that begins there: at its quote, or at what makes it more than plain text. */
function endOfPlain(all: string, start: number): number {
  for (let at = start; at < all.length; at++) {
    const byte = all.charCodeAt(at);
    if (byte === QUOTE || byte === BACKSLASH || byte < FIRST_PLAIN) return at;
  }
  return all.length;
}
