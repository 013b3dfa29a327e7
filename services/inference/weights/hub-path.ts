import { z } from 'zod';

/** What is no name of a file, or shows as another one: control characters and marks that turn the direction of text. */
const BAD_PART =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be in a path
  /^\.{0,2}$|[\\:\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]/;

/** The names that the cache has for its own files, on disks that do not tell upper from lower case too. */
const OWN_FILE = /^(\.lock.*|(.*\.)?verified\.json(\.new)?)$/i;

/** A path in a repository that stays below the directory that it is appended to, and is none of the cache's own files. */
export const hubPathSchema = z
  .string()
  .max(512)
  .refine((path) => path.split('/').every((part) => !BAD_PART.test(part)))
  .refine((path) => !OWN_FILE.test(path.split('/')[0] ?? ''));
