/** A refusal with everything that an OpenAI error body says. */
export class RequestError extends Error {
  override readonly name = 'RequestError';
  readonly status: number;
  readonly type: string;
  readonly param: string | null;
  readonly code: string | null;
  readonly retryAfterSeconds: number | undefined;

  constructor(
    status: number,
    message: string,
    detail: {
      readonly type?: string;
      readonly param?: string | undefined;
      readonly code?: string;
      readonly retryAfterSeconds?: number;
    } = {},
  ) {
    super(message);
    this.status = status;
    this.type = detail.type ?? (status < 500 ? 'invalid_request_error' : 'server_error');
    this.param = detail.param ?? null;
    this.code = detail.code ?? null;
    this.retryAfterSeconds = detail.retryAfterSeconds;
  }
}

/** The OpenAI error object. */
export function errorBody(error: RequestError): string {
  const { message, type, param, code } = error;
  return JSON.stringify({ error: { message, type, param, code } });
}
