import { invalidField } from '../../shared/errors/mesh-error.ts';
import { WeightsCache } from './cache.ts';
import { ggufUnder } from './model-directory.ts';
import { HUB_REFERENCE_FORM, type HubReference, isHubId, isHubReference, parseHubReference } from './reference.ts';

/** What a caller's name of a model means when no entry has it. */
export type NamedModel =
  /** A GGUF file below the model directory, every link resolved. */
  | { readonly kind: 'file'; readonly path: string }
  /** A GGUF file of a hub; `path` where it is here already. */
  | { readonly kind: 'hub-file'; readonly reference: HubReference; readonly path: string | undefined }
  /** A repository of a hub that an engine fetches by itself. */
  | { readonly kind: 'hub'; readonly id: string };

/** The same words for a file that is not there and one that is no model: a caller must not learn of other files. */
const NO_GGUF = 'there is no GGUF file that can be read at this path below the model directory';

/** An engine's name is no longer, and what is loaded by a name gets it. */
const MAX_NAME_LENGTH = 256;

/**
 * Reads a caller's name of a model that no entry has: the path of a GGUF file, `hf:<user>/<repo>[:<quant>]` or `<user>/<repo>`.
 * Asks nobody but the disk.
 *
 * @throws MeshError INVALID_FIELD `model`.
 */
export async function readModelName(name: string, modelsDirectory: string): Promise<NamedModel> {
  if (/^[a-z][a-z\d+.-]*:\/\//i.test(name)) {
    throw invalidField('model', 'must not be an address; only --model and the configuration name one');
  }
  if (isHubReference(name)) {
    const reference = parseHubReference(name);
    if (!reference || name.length > MAX_NAME_LENGTH) throw invalidField('model', `expected ${HUB_REFERENCE_FORM}`);
    return { kind: 'hub-file', reference, path: await new WeightsCache(modelsDirectory, reference).find() };
  }
  if (name.endsWith('.gguf')) {
    const path = name.length <= MAX_NAME_LENGTH ? await ggufUnder(modelsDirectory, name) : undefined;
    if (path === undefined) throw invalidField('model', NO_GGUF);
    return { kind: 'file', path };
  }
  if (name.length > MAX_NAME_LENGTH) throw invalidField('model', `is longer than ${MAX_NAME_LENGTH} characters`);
  if (isHubId(name)) return { kind: 'hub', id: name };
  throw invalidField(
    'model',
    `is no configured engine, no path of a GGUF file, no ${HUB_REFERENCE_FORM}, no <user>/<repo>`,
  );
}
