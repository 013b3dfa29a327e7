/** Keys below this can be guessed, in bits. */
const LEAST_KEY_BITS = 128;

/** Alphabets that keys are made of, smallest first, and how many characters each has. */
const ALPHABETS: readonly (readonly [RegExp, number])[] = [
  [/^[0-9]*$/, 10],
  [/^[0-9a-f]*$/, 16],
  [/^[0-9A-F]*$/, 16],
  [/^[a-z]*$/, 26],
  [/^[A-Z]*$/, 26],
  [/^[0-9a-z]*$/, 36],
  [/^[0-9A-Z]*$/, 36],
  [/^[A-Za-z]*$/, 52],
  [/^[0-9A-Za-z]*$/, 62],
];

/** Printable ASCII. */
const LARGEST_ALPHABET = 95;

/** Random text of a weak key's length has more different characters; so few are the alphabet themselves. */
const FEW_CHARACTERS = 8;

/** Whether a key is weak: its length times log2 of the alphabet that it uses is below 128 bits. */
export function isWeakKey(key: string): boolean {
  const size = ALPHABETS.find(([form]) => form.test(key))?.[1] ?? LARGEST_ALPHABET;
  const different = new Set(key).size;
  return key.length * Math.log2(different < FEW_CHARACTERS ? Math.max(1, different) : size) < LEAST_KEY_BITS;
}
