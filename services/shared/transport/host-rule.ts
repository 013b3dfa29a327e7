import { isIP } from 'node:net';
import type { NodeRequest } from './exchange.ts';
import type { RequestProblem } from './request-shape.ts';

/** Tells what is wrong with the name by which a request addresses this server; undefined: nothing. */
export type HostRule = (request: NodeRequest) => RequestProblem | undefined;

const FOREIGN: RequestProblem = {
  status: 421,
  text: 'This server is not known by the name in the Host header. Its operator adds names to server.allowed_hosts.',
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
  if (allowed === undefined && !isLoopback) return () => undefined;
  const names = new Set(allowed?.map((name) => name.toLowerCase()));
  /** Callers use the same one again and again. */
  let lastGood: string | undefined;

  function isKnown(host: string | undefined): boolean {
    if (!host || host === lastGood) return true;
    const name = nameOf(host);
    if (!names.has(name) && !isNobodys(name)) return false;
    lastGood = host;
    return true;
  }

  return (request) => {
    if ('encrypted' in request.socket && request.socket.encrypted) return undefined;
    const authority = 'stream' in request ? request.authority : undefined;
    return isKnown(request.headers.host) && isKnown(authority) ? undefined : FOREIGN;
  };
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
