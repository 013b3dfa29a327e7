/** A GPU as the driver tells it. */
export interface GpuReading {
  /** The driver's index, which is in PCI bus order. */
  readonly index: number;
  readonly uuid: string;
  readonly name: string;
  /** Unset: the driver does not tell, as on devices that share the host's memory. */
  readonly totalBytes: number | undefined;
  /** What all processes and the driver use. Unset: the driver does not tell. */
  readonly usedBytes: number | undefined;
  /** Whether it is divided into MIG slices. */
  readonly migMode: boolean;
}

/** A process that computes on a GPU. */
export interface GpuProcess {
  readonly processId: number;
  readonly uuid: string;
  /** Unset: the driver does not tell. */
  readonly usedBytes: number | undefined;
}

/** A MIG slice of a GPU. */
export interface MigSlice {
  readonly parentUuid: string;
  readonly uuid: string;
  /** The profile, e.g. "MIG 1g.10gb". */
  readonly name: string;
  /** From the name of the profile. 0: it does not tell. */
  readonly totalBytes: number;
}

/** Everything that one look at the driver showed. */
export interface DriverReading {
  readonly gpus: readonly GpuReading[];
  /** Whether those are all there are: the driver was asked and told of no failure. */
  readonly isWhole: boolean;
  readonly processes: readonly GpuProcess[];
  readonly slices: readonly MigSlice[];
  /** Why nothing or not everything could be read, in words. Unset: all of it was. */
  readonly problem?: string | undefined;
  /** There is no driver to ask: the machine has no such device. */
  readonly absent: boolean;
}

/** A machine without a driver. */
export const NO_DEVICES: DriverReading = { gpus: [], isWhole: false, processes: [], slices: [], absent: true };
