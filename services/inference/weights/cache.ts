import { createHash } from 'node:crypto';
import { readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { z } from 'zod';
import type { AddressReference } from './address.ts';
import type { HubFile } from './hub-listing.ts';
import { hubPathSchema } from './hub-path.ts';
import type { HubReference } from './reference.ts';
import { removePart, sizeOf } from './transfer.ts';

const recordSchema = z.object({
  /** Which version of the repository it was. */
  commit: z.string(),
  files: z.array(z.object({ path: hubPathSchema, sizeBytes: z.int().min(1), sha256: z.string() })).min(1),
});

/** What a reference has become: verified files. */
export interface WeightsRecord {
  readonly commit: string;
  /** The file that is loaded comes first. */
  readonly files: readonly HubFile[];
}

/**
 * The place of one reference on the disk: `<user>--<repository>/` with the files as the repository names them, or
 * `address+<host>+<hash of the address>/`, and, for each reference, a record that its files are there and were verified.
 */
export class WeightsCache {
  readonly directory: string;
  readonly lockPath: string;
  readonly #recordPath: string;

  constructor(modelsDirectory: string, reference: HubReference | AddressReference) {
    const quantization = 'url' in reference ? undefined : reference.quantization;
    this.directory = join(modelsDirectory, folderOf(reference));
    this.lockPath = join(this.directory, '.lock');
    this.#recordPath = join(
      this.directory,
      `${quantization === undefined ? '' : `${quantization.toLowerCase()}.`}verified.json`,
    );
  }

  pathOf(file: HubFile): string {
    return join(this.directory, ...file.path.split('/'));
  }

  /** Where the bytes of a file are gathered. The name holds the checksum, so that two versions are never mixed. */
  partPathOf(file: HubFile): string {
    return `${this.pathOf(file)}.${file.sha256.slice(0, 16)}.part`;
  }

  /** The path of the verified model. Undefined: not all of it is there. */
  async find(): Promise<string | undefined> {
    const record = await this.#read();
    const [first] = record?.files ?? [];
    if (!record || !first) return undefined;
    for (const file of record.files) if ((await sizeOf(this.pathOf(file))) !== file.sizeBytes) return undefined;
    return this.pathOf(first);
  }

  /** Records that all files are there and were verified. */
  async write(record: WeightsRecord): Promise<void> {
    const newPath = `${this.#recordPath}.new`;
    await writeFile(newPath, `${JSON.stringify(record, null, 2)}\n`, { mode: 0o600 });
    await rename(newPath, this.#recordPath);
  }

  /** Whether bytes were gathered that the next start goes on with. */
  async hasParts(): Promise<boolean> {
    for (const name of await readdir(this.directory, { recursive: true })) {
      if (name.endsWith('.part') && (await sizeOf(join(this.directory, name))) > 0) return true;
    }
    return false;
  }

  /** Removes what was gathered of other versions of a file. */
  async removeOtherParts(file: HubFile): Promise<void> {
    const directory = dirname(this.pathOf(file));
    for (const name of await readdir(directory)) {
      const isPart = name.startsWith(`${basename(file.path)}.`) && name.endsWith('.part');
      const path = join(directory, name);
      if (isPart && path !== this.partPathOf(file)) await removePart(path);
    }
  }

  async #read(): Promise<WeightsRecord | undefined> {
    try {
      return recordSchema.parse(JSON.parse(await readFile(this.#recordPath, 'utf8')));
    } catch {
      // None, or not ours: everything is looked up and verified again, which mends it.
      return undefined;
    }
  }
}

/** No name of a hub holds a plus sign. */
function folderOf(reference: HubReference | AddressReference): string {
  if (!('url' in reference)) return `${reference.user}--${reference.repository}`;
  const hash = createHash('sha256').update(reference.text).digest('hex').slice(0, 16);
  return `address+${reference.url.hostname.replaceAll(/[^A-Za-z0-9.-]/g, '_')}+${hash}`;
}
