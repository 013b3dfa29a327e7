import type { FastifyReply, FastifyRequest } from 'fastify';

/** What is known of an HTTP request when its answer is over. */
export interface AnsweredRequest {
  readonly request: FastifyRequest;
  /** The path as it is documented, e.g. "/status/{task_id}". Unset: there is no such route. */
  readonly template: string | undefined;
  /** 499: the caller left before an answer began. */
  readonly status: number;
  /** From its headers to the last byte of the answer, in milliseconds. */
  readonly durationMs: number;
}

/** Who is told of requests that are over: metrics, the request log. */
export interface HttpObserver {
  /** Called once per request, however it ended. Never throws. */
  answered(answered: AnsweredRequest): void;
}

/** What clients that left are counted under. */
const CLIENT_GONE = 499;

/** Tells observers when the answer to a request is over. */
export function observeAnswer(observers: readonly HttpObserver[], request: FastifyRequest, reply: FastifyReply): void {
  const { raw } = reply;
  raw.once('close', () => {
    const answered: AnsweredRequest = {
      request,
      template: request.is404 ? undefined : request.routeOptions.config.template,
      status: raw.headersSent ? raw.statusCode : CLIENT_GONE,
      durationMs: performance.now() - request.enteredAtMs,
    };
    for (const observer of observers) observer.answered(answered);
  });
}
