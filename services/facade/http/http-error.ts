/** What an HttpError may carry besides status, code and message. */
export interface HttpErrorOptions {
  /** The field or header at fault, for `error.param`. */
  readonly param?: string;
  /** Headers that the answer must have, e.g. `Allow` with 405. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** A fault that only HTTP knows (405, 408, 415, …); everything else is a MeshError. */
export class HttpError extends Error {
  override readonly name = 'HttpError';
  readonly status: number;
  readonly code: string;
  readonly param: string | null;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, code: string, message: string, options: HttpErrorOptions = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.param = options.param ?? null;
    this.headers = options.headers ?? {};
  }
}
