import type { Logger } from 'pino';
import type { Booking, DeviceBookOptions } from './booking.ts';
import { heldBytes, memoryOf } from './device-memory.ts';
import { type DeviceView, viewDevices } from './device-view.ts';
import { DeviceWatch } from './device-watch.ts';
import { type Claim, claimsDirectory, type ForeignClaim, HostClaims } from './host-claims.ts';
import { type Entry, Ledger } from './ledger.ts';
import { type Exclusion, exclusionBy } from './visible-devices.ts';

/** The devices as all that is known shows them: the driver, our bookings, and what other meshes of this host claim. */
export class DeviceScene {
  readonly ledger = new Ledger();
  readonly watch: DeviceWatch;
  readonly #log: Logger;
  readonly #claims: HostClaims;
  readonly #exclusion: Exclusion;

  /**
   * @param onLook called after every look at the driver
   * @throws ConfigError when MESH_DEVICE_CLAIMS_DIR is no absolute path.
   */
  constructor(options: DeviceBookOptions, onLook: () => void) {
    const { environmentVariable, devices, log } = options;
    this.#log = log;
    this.#exclusion = exclusionBy(devices, environmentVariable('CUDA_VISIBLE_DEVICES'));
    this.#claims = new HostClaims(claimsDirectory(environmentVariable), log);
    const enginesOn = (uuid: string) => this.ledger.on(uuid).map(({ booking }) => booking.engine);
    this.watch = new DeviceWatch(options, enginesOn, onLook);
  }

  /** What other meshes claim, as of the last look. */
  get others(): readonly ForeignClaim[] {
    return this.#claims.others;
  }

  /**
   * Looks at what other meshes claim; not where there is no device to claim.
   *
   * @throws ClaimsUnusableError, which the views tell from then on.
   */
  async lookAtClaims(): Promise<readonly ForeignClaim[]> {
    return this.watch.reading.gpus.length > 0 ? await this.#claims.look() : [];
  }

  /**
   * Shows other meshes what is booked here.
   *
   * @throws ClaimsUnusableError
   */
  publish(): void {
    this.#claims.publish(this.#ownClaims());
  }

  /** Does so where nothing depends on it: what fails is logged. */
  renew(): void {
    try {
      this.publish();
    } catch (error) {
      this.#log.error({ err: error }, 'other meshes of this host do not see all that this one has booked or released');
    }
  }

  /** Books what a decision chose. */
  add(entry: Entry): void {
    this.ledger.add(entry, (uuid) => {
      const gpu = this.watch.reading.gpus.find((one) => one.uuid === uuid);
      return gpu ? heldBytes(memoryOf(gpu, this.watch.reading, this.watch.ownProcesses)) : 0;
    });
  }

  /**
   * Every device.
   *
   * @param without a booking to leave out
   */
  views(others: readonly ForeignClaim[] = this.others, without?: Booking): DeviceView[] {
    const { watch, ledger } = this;
    // What an earlier run has left is blocked here by its own booking.
    const ours = new Set(ledger.all.map(({ booking }) => booking.mark));
    return viewDevices({
      reading: watch.reading,
      ownProcesses: watch.ownProcesses,
      ledger,
      without,
      claims: others.filter(({ mark }) => !ours.has(mark)),
      exclusion: (gpu) => this.#exclusion(gpu) ?? this.#claims.problem,
      gone: watch.gone,
    });
  }

  /** What is booked stays claimed until this process ends. */
  close(): void {
    this.#claims.close();
  }

  #ownClaims(): Claim[] {
    const processes = Map.groupBy(this.watch.ownProcesses, ([, mark]) => mark);
    return this.ledger.all
      .filter(({ booking }) => booking.bytes.size > 0)
      .map(({ booking: { mark, bytes }, shares, restingBytes }) => ({
        mark,
        shares: shares || restingBytes !== undefined,
        memory: Object.fromEntries(restingBytes ?? bytes),
        processIds: (processes.get(mark) ?? []).map(([processId]) => processId),
      }));
  }
}
