import { z } from 'zod';
import { ConfigError } from '../../shared/lifecycle/config-source.ts';
import type { HubConnection } from './hub-connection.ts';
import { hubPathSchema } from './hub-path.ts';
import type { HubSettings } from './hub-settings.ts';
import type { HubReference } from './reference.ts';

/** A file of a repository, with what its bytes must be. */
export interface HubFile {
  /** From the repository's root, with slashes; never leads out of a directory. */
  readonly path: string;
  readonly sizeBytes: number;
  /** SHA-256 in lower-case hexadecimal digits. */
  readonly sha256: string;
}

/** A repository as it is now. */
export interface HubListing {
  /** The commit that the files belong to. */
  readonly commit: string;
  readonly files: readonly HubFile[];
}

/** Pages of 1,000 files; more is no repository of a model. */
const MAX_PAGES = 20;

const MAX_ANSWER_BYTES = 16 * 1024 * 1024;

const revisionSchema = z.object({ sha: z.string().regex(/^[0-9a-f]{40}$/) });
const lfsSchema = z.object({ oid: z.string().regex(/^[0-9a-f]{64}$/), size: z.int().min(1) });
const treeSchema = z.array(z.object({ type: z.string(), path: z.string(), lfs: lfsSchema.optional() }));

/** What lists a repository. */
export interface ListingResources {
  readonly hub: HubSettings;
  readonly connection: HubConnection;
  /** What messages begin with. */
  readonly subject: string;
  readonly signal: AbortSignal;
}

/**
 * The newest commit of the main branch and its files that have a checksum.
 *
 * @throws PassingFailure; ConfigError when the hub refuses or answers what no hub does.
 */
export async function listRepository(
  { user, repository }: HubReference,
  resources: ListingResources,
): Promise<HubListing> {
  const base = `${resources.hub.endpoint}/api/models/${user}/${repository}`;
  const { sha } = (await getJson(new URL(`${base}/revision/main`), revisionSchema, resources)).body;
  const files: HubFile[] = [];
  let url: URL | undefined = new URL(`${base}/tree/${sha}?recursive=true`);
  for (let page = 0; url !== undefined; page += 1) {
    if (page === MAX_PAGES) throw noHub('its list does not end', resources);
    const answer: { body: z.output<typeof treeSchema>; next: URL | undefined } = await getJson(
      url,
      treeSchema,
      resources,
    );
    for (const { type, path, lfs } of answer.body) {
      if (type !== 'file' || !lfs || !hubPathSchema.safeParse(path).success) continue;
      files.push({ path, sizeBytes: lfs.size, sha256: lfs.oid });
    }
    url = answer.next;
  }
  return { commit: sha, files };
}

function noHub(problem: string, { hub, subject }: ListingResources): ConfigError {
  return new ConfigError(
    `${subject}: ${hub.endpoint} does not answer as a Hugging Face hub (${problem}); check HF_ENDPOINT`,
  );
}

/** One page, and the address of the next. */
async function getJson<S extends z.ZodType>(
  url: URL,
  schema: S,
  resources: ListingResources,
): Promise<{ body: z.output<S>; next: URL | undefined }> {
  const { connection, signal } = resources;
  const answer = await connection.get(url, { accept: 'application/json' }, signal, [200]);
  if (answer.origin !== url.origin) {
    answer.discard();
    throw noHub('it sends to another server', resources); // Whose checksums nobody has vouched for.
  }
  const pieces: Buffer[] = [];
  let sizeBytes = 0;
  for await (const piece of answer.bytes()) {
    sizeBytes += piece.length;
    if (sizeBytes > MAX_ANSWER_BYTES) throw noHub('it does not end', resources);
    pieces.push(piece);
  }
  let body: unknown;
  try {
    body = JSON.parse(Buffer.concat(pieces).toString());
  } catch {
    throw noHub('it is not JSON', resources);
  }
  const result = schema.safeParse(body);
  if (!result.success) throw noHub(result.error.issues[0]?.message ?? '', resources);
  const link = /<([^>]+)>;\s*rel="next"/.exec(String(answer.headers.link ?? ''))?.[1];
  if (link === undefined) return { body: result.data, next: undefined };
  if (!URL.canParse(link, url)) throw noHub('its list goes on at no address', resources);
  const next = new URL(link, url);
  // The token goes along.
  if (next.origin !== url.origin) throw noHub('its list goes on at another server', resources);
  return { body: result.data, next };
}
