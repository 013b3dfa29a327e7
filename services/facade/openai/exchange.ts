import type { ServerResponse } from 'node:http';
import { durationMs } from '@bufbuild/protobuf/wkt';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import type { Started } from '../../../gen/mesh/generation/v1/generation_event_pb.ts';
import type { LimitState } from '../../../gen/mesh/quota/v1/limit_pb.ts';
import { MeshError } from '../../shared/errors/mesh-error.ts';
import type { AddressedRequest } from '../../shared/interceptors/client-ip.ts';
import type { Roster } from '../../shared/lifecycle/roster.ts';
import { factsOf } from '../../shared/observability/request-facts.ts';
import { FlowControl } from '../../shared/transport/flow-control.ts';
import type { GenerationCall } from '../../shared/transport/generate.ts';
import { isStalled } from '../../shared/transport/write-stall.ts';
import type { LimitBook } from '../http/limit-book.ts';
import { logProblem } from '../http/problem-log.ts';

/** What every exchange shares. */
export interface ExchangeResources {
  readonly limitBook: LimitBook;
  readonly clientIp: (request: AddressedRequest) => string | undefined;
  /** The exchanges that are open, so that closing the facade can end them. */
  readonly exchanges: Roster<Exchange>;
  readonly log: Logger;
  /** Told of every answer what of its time was ours, in milliseconds. */
  readonly onOverhead: (overheadMs: number) => void;
}

/** What of the time to an answer, or to the first of a stream, was ours, in milliseconds. */
const OVERHEAD_HEADER = 'x-mesh-overhead-ms';

/** One generation on behalf of one HTTP request, from its admission to the end of its answer. */
export class Exchange {
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
  readonly call: GenerationCall;
  readonly #leave: () => void;
  readonly #limitBook: LimitBook;
  readonly #log: Logger;
  readonly #onOverhead: (overheadMs: number) => void;
  readonly #controller = new AbortController();
  readonly #onClose = (): void => this.abort(causeOfClose(this.reply.raw));
  #limits: readonly LimitState[] | undefined;
  /** How long it waited for an engine. */
  #queueSeconds = 0;
  /** What of the time to the first of a stream was ours. Unset: there is no stream. */
  #overheadMs: number | undefined;
  #ended = false;

  /** Begins an exchange and notes it in `exchanges` until it ends. */
  constructor(request: FastifyRequest, reply: FastifyReply, resources: ExchangeResources) {
    this.#limitBook = resources.limitBook;
    this.#log = resources.log;
    this.#onOverhead = resources.onOverhead;
    this.request = request;
    this.reply = reply;
    this.call = {
      requestId: request.id,
      signal: this.#controller.signal,
      flow: new FlowControl(),
      credential: request.credential,
      clientIp: resources.clientIp(request.raw),
      trace: request.span?.headers,
      facts: factsOf(request.raw),
    };
    this.#leave = resources.exchanges.add(this);
    reply.raw.once('close', this.#onClose);
    // What breaks the response closes it as well; the close is what counts.
    reply.raw.on('error', () => undefined);
  }

  /** Whether nobody is left to read an answer. */
  get clientGone(): boolean {
    return this.reply.raw.destroyed;
  }

  /** The caller's limits, for the headers. Undefined until they are known. */
  get limits(): readonly LimitState[] | undefined {
    return this.#limits;
  }

  /** Notes what the router told about the caller. */
  started({ limits, queueTime }: Started): void {
    this.#limits = limits;
    this.#queueSeconds = queueTime ? durationMs(queueTime) / 1_000 : 0;
    this.#limitBook.remember(this.request, limits);
  }

  /**
   * The header that tells what of the time since the request came was ours, in milliseconds: neither waiting for an engine nor the
   * engine's own. `engineSeconds` is what the node told of that; without it there is no header.
   *
   * @param queueSeconds how long it waited, where that was not told at the start
   */
  overheadHeader(engineSeconds: number | undefined, queueSeconds: number = this.#queueSeconds): Record<string, string> {
    if (engineSeconds === undefined) return {};
    const elsewhereMs = (queueSeconds + engineSeconds) * 1_000;
    const overheadMs = Math.max(0, performance.now() - this.request.enteredAtMs - elsewhereMs);
    if (this.#ended) this.#onOverhead(overheadMs);
    else this.#overheadMs = overheadMs;
    return { [OVERHEAD_HEADER]: overheadMs.toFixed(3) };
  }

  /** Looks the caller's limits up when the router did not tell them yet. Never rejects: the answer matters more. */
  async lookUpLimits(): Promise<void> {
    if (this.#limits) return;
    const limits = await this.#limitBook.of(this.request).catch(() => undefined);
    this.#limits ??= limits;
  }

  /** Notes a failure of an answer whose head has left. */
  logFailure(error: unknown): void {
    logProblem(this.#log, error, this.request);
  }

  /** Aborts the generation down to the engine; the callee then calls `fail`. */
  abort(reason: MeshError): void {
    this.#controller.abort(reason);
  }

  /** Marks the end. Returns false when it was marked before. */
  end(): boolean {
    if (this.#ended) return false;
    this.#ended = true;
    this.reply.raw.off('close', this.#onClose);
    this.#leave();
    // The first token waits for no metric.
    if (this.#overheadMs !== undefined) this.#onOverhead(this.#overheadMs);
    return true;
  }
}

function causeOfClose(response: ServerResponse): MeshError {
  if (isStalled(response)) return new MeshError('CLIENT_STALLED', 'The client did not read.');
  return new MeshError('CLIENT_GONE', 'The client closed the connection.');
}
