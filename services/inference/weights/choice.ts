import type { HubFile } from './hub-listing.ts';

/** Taken in this order when a reference names no quantization; after them, whatever comes first. */
const USUAL_QUANTIZATIONS = ['Q4_K_M', 'Q8_0'];

/** GGUF files that accompany a model and are none. */
const COMPANION = /mmproj|imatrix|(^|\/)(mtp|eagle3|dflash|dspark)-/i;

const SPLIT = /-(\d{5})-of-(\d{5})\.gguf$/i;

/** The files to fetch, the one that is loaded first; or why there are none. */
export type Choice = { readonly files: readonly [HubFile, ...HubFile[]] } | { readonly problem: string };

/**
 * Chooses the model that a quantization names, as llama.cpp does: a part of the file's name, in upper or lower case. A
 * model that is split over several files comes with all of them.
 */
export function chooseFiles(listed: readonly HubFile[], quantization: string | undefined): Choice {
  const models = listed
    .filter(({ path }) => /\.gguf$/i.test(path) && !COMPANION.test(path))
    .sort((one, other) => (one.path < other.path ? -1 : 1));
  const heads = models.filter(({ path }) => Number(SPLIT.exec(path)?.[1] ?? 1) === 1);
  if (heads.length === 0)
    return {
      problem: 'the repository has no GGUF file, or none with a checksum; look for one whose name ends in "-GGUF"',
    };
  const wanted = quantization === undefined ? USUAL_QUANTIZATIONS : [quantization];
  const named = wanted.map((name) => heads.find(({ path }) => holds(path, name))).find((file) => file !== undefined);
  const head = named ?? (quantization === undefined ? heads[0] : undefined);
  if (head) return withParts(head, models);
  const known = [...new Set(heads.map(({ path }) => quantizationOf(path)))].join(', ');
  return { problem: `the repository has no quantization '${quantization}'; it has ${known}` };
}

/** Whether the path holds the name as a whole: "F16" is not in "model-BF16.gguf". */
function holds(path: string, name: string): boolean {
  return new RegExp(`(^|[-._/])${name.replaceAll('.', '\\.')}([-./]|$)`, 'i').test(path);
}

/** What names the quantization in a path by custom: what follows the last hyphen or dot. Else the whole path. */
function quantizationOf(path: string): string {
  const stem = path.replace(SPLIT, '').replace(/\.gguf$/i, '');
  return /[-.]((?:UD-)?[A-Z0-9_]+)$/i.exec(stem)?.[1] ?? path;
}

function withParts(head: HubFile, models: readonly HubFile[]): Choice {
  const match = SPLIT.exec(head.path);
  if (!match) return { files: [head] };
  const count = Number(match[2]);
  const others: HubFile[] = [];
  for (let part = 2; part <= count; part += 1) {
    const path = `${head.path.slice(0, match.index)}-${String(part).padStart(5, '0')}-of-${match[2]}.gguf`;
    const file = models.find((model) => model.path.toLowerCase() === path.toLowerCase());
    if (!file) return { problem: `the repository lacks ${path}, a part of ${head.path}` };
    others.push(file);
  }
  return { files: [head, ...others] };
}
