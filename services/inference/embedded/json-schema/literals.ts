import { quoted } from './grammar-writer.ts';
import { isJsonObject } from './schema-node.ts';

/** A text for comparing: equal JSON values have the same, in whatever order their members are. */
export function canonicalText(value: unknown): string {
  return JSON.stringify(value, (_name, part: unknown) =>
    isJsonObject(part)
      ? Object.fromEntries(Object.entries(part).sort(([one], [other]) => (one < other ? -1 : 1)))
      : part,
  );
}

/** Texts by their common beginnings, a code point per level. */
type Trie = { readonly next: Map<string, Trie>; isEnd: boolean };

function trieOf(texts: Iterable<string>): Trie {
  const root: Trie = { next: new Map(), isEnd: false };
  for (const text of texts) {
    let node = root;
    for (const character of text) {
      let child = node.next.get(character);
      if (child === undefined) {
        child = { next: new Map(), isEnd: false };
        node.next.set(character, child);
      }
      node = child;
    }
    node.isEnd = true;
  }
  return root;
}

/**
 * A grammar for one of several texts. They share their beginnings, so that few possibilities are open at any place
 * however many texts there are.
 */
export function oneOfTexts(texts: Iterable<string>): string {
  return pathsFrom(trieOf(texts));
}

function pathsFrom(node: Trie): string {
  const paths = Array.from(node.next, ([character, child]) => {
    let text = character;
    let end = child;
    // What does not branch is written as one text.
    for (let [only, more] = end.next; !end.isEnd && only !== undefined && more === undefined; [only, more] = end.next) {
      text += only[0];
      end = only[1];
    }
    return end.next.size === 0 ? quoted(text) : `${quoted(text)} ${pathsFrom(end)}`;
  });
  if (node.isEnd) paths.push('""');
  return paths.length === 1 ? (paths[0] ?? '""') : `(${paths.join(' | ')})`;
}

const inClass = (character: string): string =>
  `\\U${(character.codePointAt(0) ?? 0).toString(16).padStart(8, '0').toUpperCase()}`;

/**
 * A grammar for any name, between its quotes and without escapes, that is none of `names`. The characters of a name are
 * those of the rule `keychar`.
 */
export function noneOfNames(names: Iterable<string>): string {
  return awayFrom(trieOf(names));
}

function awayFrom({ next, isEnd }: Trie): string {
  const known = Array.from(next.keys(), inClass).join('');
  const paths = Array.from(next, ([character, child]) => `${quoted(character)} ${awayFrom(child)}`);
  paths.push(`[^"\\\\\\x7F\\x00-\\x1F\\uD800-\\uDFFF${known}] keychar*`);
  if (!isEnd) paths.push('""');
  return `(${paths.join(' | ')})`;
}
