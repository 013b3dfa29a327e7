import { Code } from '@connectrpc/connect';
import type { NodeRequest, NodeResponse } from './exchange.ts';

/** Content types of gRPC and gRPC-Web, in any form. */
const GRPC = /^application\/grpc(-web)?(-text)?(?=[+;]|$)/;
/** Those of Connect's streams; its other calls say their protocol's version. */
const CONNECT_STREAM = /^application\/connect\+/;

const MESSAGE = 'There is no such method here.';

/**
 * Answers a call of a method that is not there as its protocol says it, so that clients read UNIMPLEMENTED instead of guessing
 * it from a 404.
 *
 * @returns false for what is no RPC, which is left alone
 */
export function answerUnknownMethod(request: NodeRequest, response: NodeResponse): boolean {
  const contentType = String(request.headers['content-type'] ?? '');
  const grpc = GRPC.exec(contentType);
  if (grpc) {
    response.statusCode = 200;
    response.setHeader('content-type', grpc[0]);
    response.setHeader('grpc-status', String(Code.Unimplemented));
    response.setHeader('grpc-message', MESSAGE);
    response.end();
    return true;
  }
  if (!CONNECT_STREAM.test(contentType) && request.headers['connect-protocol-version'] === undefined) return false;
  response.statusCode = 404;
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify({ code: 'unimplemented', message: MESSAGE }));
  return true;
}
