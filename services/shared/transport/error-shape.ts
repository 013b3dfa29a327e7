/** Whether clients of a route read OpenAI's error object. */
export function isOpenAiShaped(path: string): boolean {
  return path.startsWith('/v1/') || /^\/(?:v1|text2sql|chat)(?:[/?]|$)/.test(path);
}

/** Whether clients of a route read Anthropic's errors. */
export function isAnthropicShaped(path: string): boolean {
  return /^\/v1\/messages(?:[/?]|$)/.test(path);
}

/** The body of an error that comes before any route: it has the shape of the errors of the route that was asked for. */
export function errorBody(status: number, text: string, path: string): string {
  if (!isOpenAiShaped(path)) return JSON.stringify({ detail: text, error: text, status_code: status });
  const error = {
    message: text,
    type: status < 500 ? 'invalid_request_error' : 'server_error',
    param: null,
    code: null,
  };
  return JSON.stringify({ ...(isAnthropicShaped(path) && { type: 'error' }), detail: text, error });
}
