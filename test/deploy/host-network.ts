// A host for containers: one network namespace with a bridge for each network of the compose file, and one for each container. Nothing in it
// can reach anything but itself.
import { execFileSync } from 'node:child_process';

/** A network namespace of a container. */
export interface ContainerNetwork {
  readonly namespace: string;
  /** Its addresses by the name of the network. */
  readonly addresses: Readonly<Record<string, string>>;
}

/** The host that the containers are on. */
export interface HostNetwork {
  /** The namespace from which callers of published ports come. */
  readonly namespace: string;
  /** @param wanted the networks of the container, with its address where the file says one */
  addContainer(name: string, wanted: Readonly<Record<string, { ipv4_address?: string }>>): ContainerNetwork;
  remove(): void;
}

const ip = (...args: string[]): void => void execFileSync('ip', args, { stdio: 'pipe' });

/** Where containers without a fixed address begin in their network; the first ones may be fixed. */
const FIRST_ADDRESS = 20;

/** @param subnets of the networks by name, e.g. "172.30.240.0/24"; where none is said one is chosen */
export function createHostNetwork(id: string, subnets: Readonly<Record<string, string | undefined>>): HostNetwork {
  const namespace = `${id}-host`;
  const prefixes = new Map<string, string>();
  const made: string[] = [namespace];
  let nextAddress = FIRST_ADDRESS;
  ip('netns', 'add', namespace);
  ip('-n', namespace, 'link', 'set', 'lo', 'up');
  for (const [index, [name, subnet]] of Object.entries(subnets).entries()) {
    const prefix = (subnet ?? `172.30.${230 + index}.0/24`).replace(/\.0\/24$/, '');
    prefixes.set(name, prefix);
    ip('-n', namespace, 'link', 'add', `br${index}`, 'type', 'bridge');
    ip('-n', namespace, 'addr', 'add', `${prefix}.1/24`, 'dev', `br${index}`);
    ip('-n', namespace, 'link', 'set', `br${index}`, 'up');
  }
  const bridges = new Map([...prefixes.keys()].map((name, index) => [name, `br${index}`]));

  return {
    namespace,
    addContainer(name, wanted) {
      const own = `${id}-${name}`;
      ip('netns', 'add', own);
      made.push(own);
      ip('-n', own, 'link', 'set', 'lo', 'up');
      const addresses: Record<string, string> = {};
      for (const [index, [network, { ipv4_address: fixed }]] of Object.entries(wanted).entries()) {
        nextAddress += 1;
        const address = fixed ?? `${prefixes.get(network)}.${nextAddress}`;
        const outside = `v${made.length}x${index}`;
        ip('-n', namespace, 'link', 'add', outside, 'type', 'veth', 'peer', 'name', `eth${index}`, 'netns', own);
        ip('-n', namespace, 'link', 'set', outside, 'master', bridges.get(network) ?? '', 'up');
        ip('-n', own, 'addr', 'add', `${address}/24`, 'dev', `eth${index}`);
        ip('-n', own, 'link', 'set', `eth${index}`, 'up');
        addresses[network] = address;
      }
      return { namespace: own, addresses };
    },
    remove() {
      for (const name of made.reverse()) ip('netns', 'del', name);
    },
  };
}
