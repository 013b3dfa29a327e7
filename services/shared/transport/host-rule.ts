import { isIP } from 'node:net';
import type { NodeRequest } from './exchange.ts';

/** What is wrong with how a request addresses this server: a status and what the caller is told. */
export interface HostProblem {
  readonly status: 400 | 421;
  readonly text: string;
}

/** Tells what is wrong with the `Host` of a request; undefined: nothing. */
export type HostRule = (request: NodeRequest) => HostProblem | undefined;

const MALFORMED: HostProblem = { status: 400, text: 'The Host header is missing, malformed or there twice.' };
const FOREIGN: HostProblem = {
  status: 421,
  text: 'This server is not known by the name in the Host header. The operator adds names to server.allowed_hosts.',
};

/**
 * Makes the rule. Where only this machine reaches the port, a name that anybody may register is refused: a page of that name
 * could have it lead here and read what is open to this machine (DNS rebinding). An address, `localhost` and names without a
 * dot are nobody's to register. Over TLS the certificate says which names lead here.
 *
 * @param isLoopback whether the port is bound to an address that only this machine reaches
 * @param allowed names by which it may be called besides; unset: none on a loopback address, else all
 */
export function createHostRule(isLoopback: boolean, allowed: readonly string[] | undefined): HostRule {
  const names = new Set(allowed?.map((name) => name.toLowerCase()));
  const isOpen = allowed === undefined && !isLoopback;
  /** Callers use the same one again and again. */
  let lastGood: string | undefined;

  function isKnown(host: string): boolean {
    if (host === lastGood) return true;
    const name = nameOf(host);
    if (!names.has(name) && !isNobodys(name)) return false;
    lastGood = host;
    return true;
  }

  return (request) => {
    const { host } = request.headers;
    const authority = 'stream' in request ? request.authority : undefined;
    if (!('stream' in request) && !isClear(request.rawHeaders, request.httpVersion)) return MALFORMED;
    if (isOpen || ('encrypted' in request.socket && request.socket.encrypted)) return undefined;
    for (const given of [authority, host]) if (given && !isKnown(given)) return FOREIGN;
    return undefined;
  };
}

/** Whether there is one Host, as HTTP/1.1 has it (RFC 9112, 3.2); HTTP/1.0 may have none. */
function isClear(rawHeaders: readonly string[], version: string): boolean {
  let count = 0;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index];
    if (name?.length === 4 && name.toLowerCase() === 'host') count += 1;
  }
  return count === 1 || (count === 0 && version === '1.0');
}

/** The name in `name:port` or `[address]:port`, in lower case, without a dot at its end. */
function nameOf(host: string): string {
  const bare = host.startsWith('[') ? host.slice(1, host.indexOf(']')) : host.replace(/:\d*$/, '');
  return bare.toLowerCase().replace(/\.$/, '');
}

/** Whether no public DNS leads anywhere by this name. */
function isNobodys(name: string): boolean {
  return isIP(name) !== 0 || !name.includes('.') || /\.(?:localhost|internal)$/.test(name);
}
