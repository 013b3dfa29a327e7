import { setTimeout as delay } from 'node:timers/promises';
import type { NodeDevice } from '../../../gen/mesh/inference/v1/inference_service_pb.ts';
import type { Session } from '../session.ts';
import type { Sample } from './view.ts';

/** Asking drivers takes up to 25 s where one hangs, and their answers change slowly. In milliseconds. */
const DEVICES_EVERY_MS = 5_000;
/** The first view waits so long for devices, in milliseconds. */
const FIRST_DEVICES_MS = 2_000;

/** Looks at the mesh again and again; devices are asked for beside the rest and less often. */
export class Looker {
  readonly #session: Session;
  #devices: readonly NodeDevice[] = [];
  #asked: Promise<void> | undefined;
  #askedAtMs = Number.NEGATIVE_INFINITY;
  #hasLooked = false;

  constructor(session: Session) {
    this.#session = session;
  }

  /**
   * @param signal nobody waits for the answer any more: a mesh that hangs may give none
   * @throws ConnectError when engines or nodes cannot be had; of devices the last answer counts.
   */
  async look(signal: AbortSignal): Promise<Sample> {
    const { inference, registry } = await this.#session.clients();
    this.#askForDevices();
    const call = { ...this.#session.call, signal };
    const [{ engines }, { waiting }] = await Promise.all([
      inference.listEngines({}, call),
      registry.listNodes({}, call),
    ]);
    const atMs = performance.now();
    if (!this.#hasLooked) await Promise.race([this.#asked, delay(FIRST_DEVICES_MS, undefined, { ref: false })]);
    this.#hasLooked = true;
    const devices = this.#devices.flatMap(({ node, device }) => (device ? [{ node, device }] : []));
    return { atMs, engines, devices, waiting };
  }

  #askForDevices(): void {
    if (this.#asked || performance.now() - this.#askedAtMs < DEVICES_EVERY_MS) return;
    this.#askedAtMs = performance.now();
    this.#asked = this.#listDevices().finally(() => {
      this.#asked = undefined;
    });
  }

  async #listDevices(): Promise<void> {
    try {
      const { inference } = await this.#session.clients();
      this.#devices = (await inference.listDevices({}, this.#session.call)).devices;
    } catch {
      // Engines are asked for at the same time, and tell what is wrong.
    }
  }
}
