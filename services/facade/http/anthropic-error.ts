const TYPES: Readonly<Record<number, string>> = {
  401: 'authentication_error',
  403: 'permission_error',
  404: 'not_found_error',
  413: 'request_too_large',
  429: 'rate_limit_error',
  503: 'overloaded_error',
  504: 'timeout_error',
};

/** What is told of an error. */
interface Told {
  readonly status: number;
  readonly message: string;
  readonly code: string | null;
  readonly param: string | null;
}

/** Anthropic's error object, with what OpenAI's has besides. */
export function anthropicError({ status, message, param, code }: Told): Record<string, string | null> {
  return { type: TYPES[status] ?? (status < 500 ? 'invalid_request_error' : 'api_error'), message, param, code };
}
