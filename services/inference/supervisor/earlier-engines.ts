import type { DeviceBook } from '../devices/device-book.ts';
import type { EndedLease } from './leases.ts';
import type { PortPool } from './port-pool.ts';

/**
 * Keeps what engines of earlier runs had from being given too soon: their ports rest, and the devices of what cannot be
 * ended are blocked until it is gone.
 */
export async function keepApart(
  ended: readonly EndedLease[],
  { devices, ports }: { readonly devices: DeviceBook; readonly ports: PortPool },
): Promise<void> {
  for (const { lease, survivors } of ended) {
    ports.quarantine(lease.ports);
    if (!survivors) continue;
    const { engine, mark, memory } = lease;
    const bytes = new Map(Object.entries(memory));
    await devices.block({ engine, mark, bytes, findLeft: () => survivors.findLeft() });
  }
}
