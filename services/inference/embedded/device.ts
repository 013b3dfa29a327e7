import { existsSync } from 'node:fs';
import type { BinaryVariant } from './llama-binding.ts';

export const GPU_CHOICES = ['auto', 'none', 'cuda', 'metal', 'vulkan'] as const;
export type GpuChoice = (typeof GPU_CHOICES)[number];

/** What the machine shows of its GPUs without loading a driver. */
export type DeviceSigns = {
  readonly platform: NodeJS.Platform;
  readonly architecture: string;
  readonly nvidia: boolean;
  readonly renderNode: boolean;
};

/** Looks for device files: loading the CUDA and Vulkan libraries to find nothing would cost a second at every start. */
export function readDeviceSigns(): DeviceSigns {
  return {
    platform: process.platform,
    architecture: process.arch,
    // The second is how WSL offers the card.
    nvidia: existsSync('/dev/nvidiactl') || existsSync('/dev/dxg'),
    renderNode: existsSync('/dev/dri/renderD128'),
  };
}

/** The binaries to try, best first. A choice by name is tried alone: it must not fall back to something slower in silence. */
export function binaryVariants(choice: GpuChoice, signs: DeviceSigns): readonly BinaryVariant[] {
  if (choice === 'none') return ['cpu'];
  if (choice !== 'auto') return [choice];
  const variants: BinaryVariant[] = [];
  if (signs.platform === 'darwin' && signs.architecture === 'arm64') variants.push('metal');
  if (signs.nvidia) variants.push('cuda');
  if (signs.renderNode) variants.push('vulkan');
  return [...variants, 'cpu'];
}
