const FLAG_VALUES: ReadonlyMap<string, boolean> = new Map([
  ['0', false],
  ['1', true],
  ['false', false],
  ['true', true],
]);

/** What a variable that switches something says: 0, 1, false, true in any letter case; else its text, which no schema takes. */
export function flagValue(text: string): boolean | string {
  return FLAG_VALUES.get(text.toLowerCase()) ?? text;
}
