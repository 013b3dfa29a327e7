import { invalidField } from '../../shared/errors/mesh-error.ts';
import type { ModelEntry } from '../engines/model-entry.ts';

/** Shorter values are not masked in logs, because they could be words; no token of the hub is that short. */
const SHORTEST_TOKEN = 8;

const TOKEN_VARIABLE = 'HF_TOKEN';

/** @throws MeshError INVALID_FIELD `hf_token`, which never quotes it. */
export function requireToken(token: string): void {
  if (token === '') return;
  if (!/^[\x21-\x7e]+$/.test(token))
    throw invalidField('hf_token', 'holds characters that no token has; copy it again');
  if (token.length < SHORTEST_TOKEN) throw invalidField('hf_token', `is shorter than ${SHORTEST_TOKEN} characters`);
}

/**
 * The entry with a token in the environment of its process, under a name whose values are masked in logs. The embedded engine
 * gets none: it fetches nothing.
 *
 * @throws MeshError INVALID_FIELD `hf_token` for a server elsewhere.
 */
export function entryWithToken(entry: ModelEntry, token: string): ModelEntry {
  if (token === '' || entry.engine === 'llama.cpp') return entry;
  if (entry.engine === 'openai' || (entry.engine === 'ollama' && entry.base_url !== undefined)) {
    throw invalidField(
      'hf_token',
      'the engine is a server elsewhere, which gets no token from here; leave the field empty',
    );
  }
  return { ...entry, env: { ...entry.env, [TOKEN_VARIABLE]: token } };
}
