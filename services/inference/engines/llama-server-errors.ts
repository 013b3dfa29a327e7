import { MeshError } from '../../shared/errors/mesh-error.ts';
import { errorOfResponse, type OpenAiAnswer } from './openai-errors.ts';

/** How it names the field that it refuses, with what its JSON library calls the problem. */
const FIELD = /^Field '(\w{1,64})': (?:\[json\.exception\.[\w.]+\] )?/;

/** Its words for fields that callers know under another name. */
const FIELDS: Readonly<Record<string, string>> = {
  n_predict: 'max_tokens',
  n_cmpl: 'n',
  n_probs: 'top_logprobs',
  repeat_penalty: 'repetition_penalty',
  return_tokens: 'return_token_ids',
  json_schema: 'response_format',
};

/** What an answer of llama-server means that is no stream: as errorOfResponse, with the field of the caller's own input. */
export function errorOfLlamaServer(engine: string, answer: OpenAiAnswer): MeshError {
  const error = errorOfResponse(engine, answer);
  const found = error.reason === 'INVALID_FIELD' ? FIELD.exec(error.message) : null;
  if (!found) return error;
  const [whole, name = ''] = found;
  const field = FIELDS[name] ?? name;
  const { cause } = error;
  return new MeshError('INVALID_FIELD', `${field}: ${error.message.slice(whole.length)}`, {
    metadata: { engine, field },
    cause,
  });
}
