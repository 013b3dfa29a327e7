import type { Logger } from 'pino';
import type { Booking, DeviceBookOptions } from './booking.ts';
import { heldBytes, memoryOf } from './device-memory.ts';
import { type DeviceView, viewDevices } from './device-view.ts';
import { DeviceWatch } from './device-watch.ts';
import { ForeignClaims } from './foreign-claims.ts';
import { type Claim, claimsDirectory, type ForeignClaim } from './host-claims.ts';
import { type Entry, Ledger } from './ledger.ts';
import { OwnClaims } from './own-claims.ts';
import { type Exclusion, exclusionBy } from './visible-devices.ts';

/** The devices as all that is known shows them: the driver, our bookings, and what other meshes of this host claim. */
export class DeviceScene {
  readonly ledger = new Ledger();
  readonly watch: DeviceWatch;
  readonly #log: Logger;
  readonly #ownClaims: OwnClaims;
  readonly #foreignClaims: ForeignClaims;
  readonly #exclusion: Exclusion;

  /**
   * @param onLook called after every look at the driver
   * @throws ConfigError when MESH_DEVICE_CLAIMS_DIR is no absolute path.
   */
  constructor(options: DeviceBookOptions, onLook: () => void) {
    const { environmentVariable, devices, log } = options;
    this.#log = log;
    this.#exclusion = exclusionBy(devices, environmentVariable('CUDA_VISIBLE_DEVICES'));
    const directory = claimsDirectory(environmentVariable);
    this.#ownClaims = new OwnClaims(directory, log);
    this.#foreignClaims = new ForeignClaims(directory, log, (mark) => this.#ownClaims.has(mark));
    const enginesOn = (uuid: string) => this.ledger.on(uuid).map(({ booking }) => booking.engine);
    this.watch = new DeviceWatch(options, enginesOn, onLook);
  }

  /** What other meshes claim, as of the last look. */
  get others(): readonly ForeignClaim[] {
    return this.#foreignClaims.found;
  }

  /**
   * Looks at what other meshes claim; not where there is no device to claim.
   *
   * @throws ClaimsUnusableError, which the views tell from then on.
   */
  async lookAtClaims(): Promise<readonly ForeignClaim[]> {
    return this.watch.reading.gpus.length > 0 ? await this.#foreignClaims.look() : [];
  }

  /**
   * Shows other meshes what is booked here.
   *
   * @throws ClaimsUnusableError
   */
  publish(): void {
    this.#ownClaims.publish(this.#claims());
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
    return viewDevices({
      reading: watch.reading,
      ownProcesses: watch.ownProcesses,
      ledger,
      without,
      claims: others,
      exclusion: (gpu) => this.#exclusion(gpu) ?? this.#foreignClaims.problem,
      gone: watch.gone,
    });
  }

  /** What is booked stays claimed until this process ends. */
  close(): void {
    this.#ownClaims.close();
  }

  #claims(): Claim[] {
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
