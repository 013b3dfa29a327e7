import { Code, ConnectError } from '@connectrpc/connect';
import { ErrorInfoSchema, RetryInfoSchema } from '../../gen/google/rpc/error_details_pb.ts';
import { CliError, EXIT } from './exit-code.ts';
import type { Failure } from './failure-line.ts';

const NO_KEY =
  'Set MESH_API_KEY, or name a file with --key-file. On the machine of the mesh, run it where the data directory is, or name that with --data-dir.';

/** What only the reason tells; others end as their RPC code says. */
const BY_REASON: Readonly<Record<string, { readonly exitCode: number; readonly hint?: string }>> = {
  CREDENTIAL_MISSING: { exitCode: EXIT.denied, hint: NO_KEY },
  CREDENTIAL_INVALID: {
    exitCode: EXIT.denied,
    hint: 'The key is unknown, expired or revoked. Look at MESH_API_KEY, --key-file or --data-dir: is it a key of this mesh?',
  },
  SCOPE_MISSING: { exitCode: EXIT.denied, hint: 'Use a key with that scope; `keys list` shows what keys may do.' },
  MODEL_NOT_GRANTED: { exitCode: EXIT.denied, hint: '`models list` shows the models that this key may use.' },
  MODEL_NOT_FOUND: { exitCode: EXIT.failed, hint: '`models list` and `engines list` show what there is.' },
  MODEL_NOT_LOADED: { exitCode: EXIT.unavailable, hint: 'Load it: inference-mesh models load <model>' },
  NO_HEALTHY_ENGINE: {
    exitCode: EXIT.unavailable,
    hint: '`engines list` says how the engines are, `engines logs` why.',
  },
  ENGINE_LOST: { exitCode: EXIT.unavailable, hint: '`engines list` says how the engines are, `engines logs` why.' },
  TOKEN_BUDGET_SPENT: {
    exitCode: EXIT.tryAgain,
    hint: '`limits get` shows which limit is full, and when it is free again.',
  },
  RATE_LIMIT_EXCEEDED: { exitCode: EXIT.tryAgain, hint: '`limits get` shows which limit is full.' },
};

/** What to say of any error, and how to end. `url` is the address that was called. */
export function failureOf(error: unknown, url: string): Failure {
  if (error instanceof CliError) {
    return { exitCode: error.exitCode, reason: reasonOfExit(error.exitCode), message: error.message, hint: error.hint };
  }
  if (error instanceof ConnectError) return ofCall(error, url);
  const message = error instanceof Error ? error.message : String(error);
  return { exitCode: EXIT.failed, reason: 'FAILED', message };
}

/** Whether a call failed because the connection did, or the mesh asks to come back: the same call may go on elsewhere. */
export function isBroken(error: unknown): boolean {
  if (!(error instanceof ConnectError)) return false;
  const reason = reasonOf(error);
  return reason === undefined
    ? [Code.Unavailable, Code.Aborted, Code.Unknown, Code.Internal, Code.DataLoss].includes(error.code) &&
        !isHttp(error)
    : ['SHUTTING_DOWN', 'PEER_UNAVAILABLE', 'STORE_UNAVAILABLE'].includes(reason);
}

function ofCall(error: ConnectError, url: string): Failure {
  const reason = reasonOf(error);
  if (reason === undefined) return ofConnection(error, url);
  const known = BY_REASON[reason];
  const delay = error.findDetails(RetryInfoSchema)[0]?.retryDelay;
  const wait = delay
    ? `Try again in ${Math.max(1, Math.ceil(Number(delay.seconds) + delay.nanos / 1e9))} s.`
    : undefined;
  const hint = [wait, known?.hint].filter(Boolean).join(' ') || undefined;
  return { exitCode: known?.exitCode ?? exitCodeOf(error.code), reason, message: error.rawMessage, hint };
}

/** What did not come from a mesh: nobody answers, or somebody else does. */
function ofConnection(error: ConnectError, url: string): Failure {
  if (error.code === Code.DeadlineExceeded) {
    const hint = 'The mesh may be busy: `status` and `top` show what waits, `doctor` looks for what is wrong.';
    return { exitCode: EXIT.tryAgain, reason: 'DEADLINE_EXCEEDED', message: 'No answer in time.', hint };
  }
  if (error.code === Code.InvalidArgument) {
    return { exitCode: EXIT.failed, reason: 'INVALID_FIELD', message: error.rawMessage };
  }
  if (isHttp(error) || error.code === Code.Unimplemented) {
    const message = `What answers at ${url} is no mesh, or an older one: ${error.rawMessage}`;
    return { exitCode: EXIT.unavailable, reason: 'UNREACHABLE', message, hint: 'Look at --url and MESH_URL.' };
  }
  if (url.startsWith('https:') && /certificate/i.test(error.rawMessage)) {
    const message = `The certificate of ${url} is not trusted: ${error.rawMessage.split(';')[0]}`;
    const hint = 'Name the file of the authority that signed it: NODE_EXTRA_CA_CERTS=<file>.';
    return { exitCode: EXIT.unavailable, reason: 'UNREACHABLE', message, hint };
  }
  const message = `No mesh answers at ${url}: ${error.rawMessage}`;
  const hint =
    'Start one with `inference-mesh start`, or say where it is with --url or MESH_URL. `inference-mesh doctor` looks for what is wrong.';
  return { exitCode: EXIT.unavailable, reason: 'UNREACHABLE', message, hint };
}

function exitCodeOf(code: Code): number {
  switch (code) {
    case Code.Unauthenticated:
    case Code.PermissionDenied:
      return EXIT.denied;
    case Code.Unavailable:
    case Code.ResourceExhausted:
    case Code.DeadlineExceeded:
      return EXIT.tryAgain;
    default:
      return EXIT.failed;
  }
}

function reasonOfExit(exitCode: number): string {
  if (exitCode === EXIT.usage) return 'USAGE';
  if (exitCode === EXIT.configuration) return 'CONFIGURATION';
  return exitCode === EXIT.unavailable ? 'UNREACHABLE' : 'FAILED';
}

function reasonOf(error: ConnectError): string | undefined {
  return error.findDetails(ErrorInfoSchema)[0]?.reason;
}

/** Connect's words for an answer that is no RPC. */
function isHttp({ rawMessage }: ConnectError): boolean {
  return /^HTTP \d{3}|unsupported content type|content-type/i.test(rawMessage);
}
