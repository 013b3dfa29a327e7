import type { NodeRequest, NodeResponse } from './exchange.ts';

/** Requests whose client waits to be told whether to send the body. */
const waiting = new WeakMap<object, NodeResponse>();

/**
 * Notes what a client expects (`Expect`) before it sends its body. Where it is refused instead, Node closes a connection of
 * HTTP/1.1 after the answer: whether the body or another request comes next, nobody can tell.
 *
 * @returns whether it can be met
 */
export function noteExpectation(request: NodeRequest, response: NodeResponse): boolean {
  const { expect } = request.headers;
  if (expect === undefined) return true;
  if (expect.trim().toLowerCase() !== '100-continue') return false;
  // Before HTTP/1.1 there is no such answer.
  if (request.httpVersion !== '1.0') waiting.set(request, response);
  return true;
}

/** Tells a client that waits for it to send the body now, which somebody is about to read. Others are not affected. */
export function letBodyCome(request: object): void {
  const response = waiting.get(request);
  if (!response) return;
  waiting.delete(request);
  if (!response.headersSent) response.writeContinue();
}
