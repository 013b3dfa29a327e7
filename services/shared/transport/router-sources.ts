import { isIP } from 'node:net';
import { networkInterfaces } from 'node:os';
import type { Client } from '@connectrpc/connect';
import type { Logger } from 'pino';
import type { RegistryService } from '../../../gen/mesh/router/v1/registry_service_pb.ts';
import { followName, type Lookup } from './followed-name.ts';
import type { RemoteRouters } from './remote-routers.ts';

/** A router that is told about this node. */
export interface RouterToTell {
  /** What logs call it. */
  readonly name: string;
  readonly registry: Client<typeof RegistryService>;
  /** Where it reaches this node's InferenceService. Empty: in its own process. */
  readonly address: string;
  /** Ends the connection to it. */
  close(): void;
}

/** Told of routers as they come and go. */
export interface RouterChanges {
  come(router: RouterToTell): void;
  /** The router of that name is not found any more where it was; it may still live. */
  go(name: string): void;
}

/** Where routers are found, one or several. Tells of those that are there and of every change, until what it returns is called. */
export type RouterSource = (changes: RouterChanges) => () => void;

/** Before an address whose host stands for several processes: "dns+http://routers:7003". */
export const NAME_PREFIX = 'dns+';

/** All addresses of a machine. */
const WILDCARDS: ReadonlySet<string> = new Set(['0.0.0.0', '::']);

/** Who is told about the engines of this process. */
export interface RouterSourcesOptions {
  /** The router in this process, which calls us as a function. Unset: none. */
  readonly here: Client<typeof RegistryService> | undefined;
  /** The others: each an address, or a name behind which there may be several. */
  readonly routers: readonly string[];
  readonly remote: RemoteRouters;
  /** Where routers elsewhere reach this process. */
  readonly address: string;
  /** Where this process listens. */
  readonly host: string;
  readonly port: number;
  readonly log: Logger;
  /** For tests; see followName. */
  readonly lookup?: Lookup;
}

/** Where every router is found that is known. */
export function routerSources(options: RouterSourcesOptions): RouterSource[] {
  const { here, routers, remote, address } = options;
  const others = routers
    // The same list may be given to all processes.
    .filter((url) => !here || url !== address)
    .map(
      (url): RouterSource =>
        url.startsWith(NAME_PREFIX) ? behindName(url.slice(NAME_PREFIX.length), options) : at(url),
    );
  return here ? [fixed(here), ...others] : others;

  function at(url: string): RouterSource {
    return ({ come }) => {
      come({ name: url, ...remote.registryAt(url), address });
      return () => {};
    };
  }
}

function fixed(registry: Client<typeof RegistryService>): RouterSource {
  return ({ come }) => {
    come({ name: 'here', registry, address: '', close: () => {} });
    return () => {};
  };
}

function behindName(
  url: string,
  { here, remote, address, host, port, log, lookup }: RouterSourcesOptions,
): RouterSource {
  const { protocol, hostname, port: portOfUrl } = new URL(url);
  const routerPort = Number(portOfUrl || (protocol === 'https:' ? 443 : 80));
  const urlOf = (ip: string): string => `${protocol}//${ip.includes(':') ? `[${ip}]` : ip}:${routerPort}`;
  // On one machine each of several processes may have an address of its own.
  const isOwn = (ip: string): boolean => (isIP(host) && !WILDCARDS.has(host) ? ip === host : isOfThisMachine(ip));
  const isThisProcess = (ip: string): boolean => here !== undefined && routerPort === port && isOwn(ip);
  return ({ come, go }) =>
    followName({
      host: hostname.replace(/^\[|\]$/g, ''),
      log,
      ...(lookup && { lookup }),
      onChange(came, went) {
        log.info({ name: url, came, went }, 'the routers behind a name have changed');
        for (const ip of went) go(urlOf(ip));
        for (const ip of came) {
          if (!isThisProcess(ip)) come({ name: urlOf(ip), ...remote.registryAt(urlOf(ip)), address });
        }
      },
    });
}

function isOfThisMachine(ip: string): boolean {
  return Object.values(networkInterfaces()).some((addresses) => addresses?.some(({ address }) => address === ip));
}
