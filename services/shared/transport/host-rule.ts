import { isIP } from 'node:net';
import type { NodeRequest } from './exchange.ts';
import type { RequestProblem } from './request-shape.ts';

/** Tells what is wrong with the name by which a request addresses this server; undefined: nothing. */
export type HostRule = (request: NodeRequest) => RequestProblem | undefined;

const FOREIGN: RequestProblem = {
  status: 421,
  text: 'This server is not known by the name in the Host header. Its operator adds names to server.allowed_hosts.',
};

/** The port that a name without one stands for, where there is no TLS. */
const DEFAULT_PORT = 80;

/**
 * Makes the rule. Where only this machine reaches the port, a name that anybody may register is refused: a page of that name
 * could have it lead here and read what is open to this machine (DNS rebinding). An address, `localhost` and names without a
 * dot are nobody's to register. Over TLS the certificate says which names lead here.
 *
 * A browser names the port that it connects to, and scripts have no say in it. So a name with another port was meant for a
 * proxy before this server, which passed it on; headers of proxies prove nothing, for scripts may send those.
 *
 * @param isLoopback whether the port is bound to an address that only this machine reaches
 * @param allowed names by which it may be called besides; unset: on a loopback address those that proxies pass on, else all
 */
export function createHostRule(isLoopback: boolean, allowed: readonly string[] | undefined): HostRule {
  if (allowed === undefined && !isLoopback) return () => undefined;
  const names = allowed && new Set(allowed.map((name) => name.toLowerCase()));
  /** Callers use the same one again and again. */
  let lastGood: string | undefined;

  function isKnown(host: string | undefined, localPort: number | undefined): boolean {
    if (!host || host === lastGood) return true;
    const { name, port } = partsOf(host);
    // A connection that has gone has no port any more; that must not make its name a good one.
    const isPassedOn = localPort !== undefined && port !== localPort;
    if (!isNobodys(name) && !(names ? names.has(name) : isPassedOn)) return false;
    lastGood = host;
    return true;
  }

  return (request) => {
    const { headers, socket } = request;
    if ('encrypted' in socket && socket.encrypted) return undefined;
    const authority = 'stream' in request ? request.authority : undefined;
    return isKnown(headers.host, socket.localPort) && isKnown(authority, socket.localPort) ? undefined : FOREIGN;
  };
}

/** What is in `name:port` or `[address]:port`; the name in lower case, without a dot at its end. */
function partsOf(host: string): { name: string; port: number } {
  const [, address, name = '', port] = /^(?:\[([^\]]*)\]|(.*?))(?::(\d*))?$/s.exec(host) ?? [];
  return { name: (address ?? name).toLowerCase().replace(/\.$/, ''), port: port ? Number(port) : DEFAULT_PORT };
}

/** Whether no public DNS leads anywhere by this name. */
function isNobodys(name: string): boolean {
  return isIP(name) !== 0 || !name.includes('.') || /\.(?:localhost|internal)$/.test(name);
}
