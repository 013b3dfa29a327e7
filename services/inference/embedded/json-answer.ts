import { schemaGrammar } from './json-schema/schema-grammar.ts';
import { SchemaError } from './json-schema/schema-node.ts';
import { RequestError } from './request-error.ts';
import type { CommonBody } from './request-fields.ts';

/**
 * The grammar that the answer must follow; undefined: none is asked for.
 *
 * @throws RequestError that names the field or the schema's keyword that cannot be honoured.
 */
export function answerGrammar(body: CommonBody, topLogprobs: number | undefined): string | undefined {
  const asked = askedSchema(body);
  if (asked === undefined) return undefined;
  // Raw logits say nothing about what a grammar lets pass, and other figures would be no log-probabilities.
  if (topLogprobs !== undefined) refuse('logprobs', 'there are no log-probabilities under a grammar');
  // Both would end the answer in the middle of a value.
  if (body.stop !== undefined && body.stop.length > 0) refuse('stop', 'the JSON would be cut off');
  if (body.ignore_eos === true) refuse('ignore_eos', 'nothing may follow the JSON');
  try {
    return schemaGrammar(asked.schema);
  } catch (error) {
    if (!(error instanceof SchemaError)) throw error;
    const path = error.path === '' ? asked.path : `${asked.path}.${error.path}`;
    throw new RequestError(400, `The schema cannot be used: '${path}' ${error.message}.`, {
      param: path,
      code: error.kind === 'invalid' ? 'invalid_value' : 'unsupported_parameter',
    });
  }

  function refuse(field: string, reason: string): never {
    throw new RequestError(400, `'${field}' cannot be combined with '${asked?.path.split('.')[0]}': ${reason}.`, {
      param: field,
      code: 'unsupported_parameter',
    });
  }
}

/** The schema that is asked for, and where it stands in the body. */
function askedSchema(body: CommonBody): { readonly schema: unknown; readonly path: string } | undefined {
  const { response_format: format, guided_json: guided } = body;
  if (guided !== undefined) {
    if (format === undefined || format.type === 'text') return { schema: guided, path: 'guided_json' };
    throw new RequestError(400, "Give one of 'response_format' and 'guided_json'.", {
      param: 'guided_json',
      code: 'invalid_value',
    });
  }
  if (format === undefined || format.type === 'text') return undefined;
  if (format.type === 'json_object') return { schema: { type: 'object' }, path: 'response_format' };
  return { schema: format.json_schema.schema ?? true, path: 'response_format.json_schema.schema' };
}
