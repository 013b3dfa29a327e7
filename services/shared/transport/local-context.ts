import type { DescMessage, DescMethod, DescMethodUnary, DescService, MessageShape } from '@bufbuild/protobuf';
import {
  type ContextValues,
  createContextValues,
  type HandlerContext,
  type StreamRequest,
  type UnaryRequest,
  type UnaryResponse,
} from '@connectrpc/connect';
import { clientIpKey } from '../interceptors/client-ip.ts';
import { LOCAL_PROTOCOL } from '../interceptors/on-behalf-of-gate.ts';
import { CLIENT_IP_HEADER } from './mesh-headers.ts';

/**
 * What a handler of this process sees of a call. The caller's own context values stay with the caller, so that they cannot
 * name a principal.
 */
export class LocalContext implements HandlerContext {
  readonly protocolName = LOCAL_PROTOCOL;
  readonly values: ContextValues = createContextValues();
  readonly #req: UnaryRequest | StreamRequest;
  readonly #deadlineMs: number | undefined;
  #responseHeader: Headers | undefined;
  #responseTrailer: Headers | undefined;

  /** `header` is unset where the call has none. */
  constructor(req: UnaryRequest | StreamRequest, header: Headers | undefined, timeoutMs: number | undefined) {
    this.#req = req;
    this.#deadlineMs = timeoutMs === undefined ? undefined : Date.now() + timeoutMs;
    const clientIp = header?.get(CLIENT_IP_HEADER);
    if (clientIp) this.values.set(clientIpKey, clientIp);
  }

  /** Bound, as handlers may take it off. */
  readonly timeoutMs = (): number | undefined => this.#deadlineMs && this.#deadlineMs - Date.now();

  /** All of it made, for what copies a context, as Connect's interceptors do. */
  whole(): HandlerContext {
    const { protocolName, values, timeoutMs, method, service, signal, requestMethod, requestHeader, url } = this;
    const { responseHeader, responseTrailer } = this;
    const made = { protocolName, values, timeoutMs, method, service, signal, requestMethod, requestHeader, url };
    return { ...made, responseHeader, responseTrailer };
  }

  get method(): DescMethod {
    return this.#req.method;
  }

  get service(): DescService {
    return this.#req.service;
  }

  get signal(): AbortSignal {
    return this.#req.signal;
  }

  get requestMethod(): string {
    return this.#req.requestMethod;
  }

  get requestHeader(): Headers {
    return this.#req.header;
  }

  get url(): string {
    return this.#req.url;
  }

  get responseHeader(): Headers {
    this.#responseHeader ??= new Headers();
    return this.#responseHeader;
  }

  get responseTrailer(): Headers {
    this.#responseTrailer ??= new Headers();
    return this.#responseTrailer;
  }
}

/** What a handler of this process answered. */
export class LocalResponse<I extends DescMessage, O extends DescMessage> implements UnaryResponse<I, O> {
  readonly stream = false;
  readonly method: DescMethodUnary<I, O>;
  readonly message: MessageShape<O>;
  readonly #context: HandlerContext;

  constructor({ method }: UnaryRequest<I, O>, message: MessageShape<O>, context: HandlerContext) {
    this.method = method;
    this.message = message;
    this.#context = context;
  }

  get service(): DescService {
    return this.method.parent;
  }

  get header(): Headers {
    return this.#context.responseHeader;
  }

  get trailer(): Headers {
    return this.#context.responseTrailer;
  }
}
