import {
  create,
  type DescMessage,
  type DescMethodUnary,
  type DescService,
  type MessageInitShape,
  type MessageShape,
} from '@bufbuild/protobuf';
import {
  Code,
  ConnectError,
  type ContextValues,
  createContextValues,
  type Interceptor,
  type UnaryRequest,
  type UnaryResponse,
} from '@connectrpc/connect';
import { createMethodUrl } from '@connectrpc/connect/protocol';
import { timeLimit } from '../lifecycle/time-limit.ts';

/** What the headers of a call are made of. */
export type HeaderInit = ConstructorParameters<typeof Headers>[0];

/** A unary call as its caller makes it. */
export interface LocalUnary<I extends DescMessage, O extends DescMessage> {
  readonly method: DescMethodUnary<I, O>;
  readonly message: MessageInitShape<I>;
  readonly header: HeaderInit | undefined;
  readonly contextValues: ContextValues | undefined;
  /** Cancels it. */
  readonly signal: AbortSignal | undefined;
  readonly timeoutMs: number | undefined;
  readonly interceptors: readonly Interceptor[];
}

type Next = ReturnType<Interceptor>;

/** Where calls of this process would go to. */
export const LOCAL_URL = 'local://mesh';

/**
 * As Connect's runUnaryCall, but what few calls look at is made when it is looked at: headers, and the signal that tells a
 * handler that its caller is gone. Ends at the deadline and with the caller's signal also when no handler looks. `answer` is
 * given the headers if there are any.
 */
export function runLocalUnary<I extends DescMessage, O extends DescMessage>(
  call: LocalUnary<I, O>,
  answer: (req: UnaryRequest<I, O>, header: Headers | undefined) => Promise<UnaryResponse<I, O>>,
): Promise<UnaryResponse<I, O>> {
  const { signal, timeoutMs } = call;
  if (signal?.aborted) return Promise.reject(ConnectError.from(signal.reason, Code.Canceled));
  const aborter = new LateAborter();
  return new Promise((resolve, reject) => {
    const leave = (): void => {
      inTime?.();
      signal?.removeEventListener('abort', onAbort);
    };
    const stop = (reason: unknown): void => {
      leave();
      aborter.abort(reason);
      reject(ConnectError.from(reason, Code.Canceled));
    };
    const onAbort = (): void => stop(signal?.reason);
    const inTime = timeoutMs === undefined ? undefined : timeLimit(timeoutMs, () => stop(timedOut()));
    signal?.addEventListener('abort', onAbort);
    const request = new LocalRequest(call, aborter);
    const last = (req: unknown) => answer(req as UnaryRequest<I, O>, request.knownHeader);
    const next = call.interceptors.reduceRight((inner, outer) => outer(inner), last as Next);
    Promise.try(next, request as unknown as Parameters<Next>[0]).then(
      (response) => {
        leave();
        // Connect tells handlers so that they stop what they left running.
        aborter.abort();
        resolve(response as UnaryResponse<I, O>);
      },
      (error: unknown) => {
        leave();
        aborter.abort(error);
        reject(ConnectError.from(error));
      },
    );
  });
}

/** An AbortController that is made when somebody looks at its signal. */
class LateAborter {
  #controller: AbortController | undefined;
  #isAborted = false;
  #reason: unknown;

  get signal(): AbortSignal {
    if (!this.#controller) {
      this.#controller = new AbortController();
      if (this.#isAborted) this.#controller.abort(this.#reason);
    }
    return this.#controller.signal;
  }

  /** The first time counts. */
  abort(reason?: unknown): void {
    if (this.#isAborted) return;
    this.#isAborted = true;
    this.#reason = reason;
    this.#controller?.abort(reason);
  }
}

class LocalRequest<I extends DescMessage, O extends DescMessage> implements UnaryRequest<I, O> {
  readonly stream = false;
  readonly requestMethod = 'POST';
  readonly method: DescMethodUnary<I, O>;
  readonly message: MessageShape<I>;
  readonly contextValues: ContextValues;
  readonly #aborter: LateAborter;
  /** Undefined: there are none, unless somebody looks. */
  knownHeader: Headers | undefined;

  constructor({ method, message, header, contextValues }: LocalUnary<I, O>, aborter: LateAborter) {
    this.method = method;
    this.message = create(method.input, message);
    this.contextValues = contextValues ?? createContextValues();
    this.#aborter = aborter;
    this.knownHeader = header === undefined ? undefined : new Headers(header);
  }

  get service(): DescService {
    return this.method.parent;
  }

  get url(): string {
    return createMethodUrl(LOCAL_URL, this.method);
  }

  get header(): Headers {
    this.knownHeader ??= new Headers();
    return this.knownHeader;
  }

  get signal(): AbortSignal {
    return this.#aborter.signal;
  }
}

function timedOut(): ConnectError {
  return new ConnectError('the operation timed out', Code.DeadlineExceeded);
}
