import { crc32 } from 'node:zlib';
import type { GenerateRequest } from '../../../gen/mesh/generation/v1/generate_request_pb.ts';
import type { ChatMessage } from '../../../gen/mesh/generation/v1/prompt_pb.ts';

/** Characters, or token ids, of one block. */
const BLOCK = 1_024;

/** How far a prompt is looked at; what starts the same for so long need not be told apart. */
const MOST_BLOCKS = 32;

/**
 * Hashes of ever longer starts of a prompt, the shortest first: after each block of text, and after each message, so that the
 * next turn of a conversation has those of the turn before. Equal starts have equal hashes; the reverse only nearly always
 * holds, which is enough for a guess. Pure.
 */
export function prefixHashes({ prompt }: Pick<GenerateRequest, 'prompt'>): number[] {
  const hashes: number[] = [];
  const input = prompt?.input;
  if (input?.case === 'text') addText(hashes, input.value);
  else if (input?.case === 'tokenIds') addIds(hashes, input.value.ids);
  else if (input?.case === 'chat') {
    for (const message of input.value.messages) addText(hashes, textOf(message));
  }
  return hashes;
}

function addText(hashes: number[], text: string): void {
  for (let at = 0; at < text.length && hashes.length < MOST_BLOCKS; at += BLOCK) {
    hashes.push(crc32(text.slice(at, at + BLOCK), hashes.at(-1)));
  }
}

function addIds(hashes: number[], ids: readonly number[]): void {
  for (let at = 0; at < ids.length && hashes.length < MOST_BLOCKS; at += BLOCK) {
    hashes.push(crc32(Uint32Array.from(ids.slice(at, at + BLOCK)), hashes.at(-1)));
  }
}

function textOf({ role, parts }: ChatMessage): string {
  let text = `${role}\n`;
  for (const { part } of parts) if (part.case === 'text' || part.case === 'refusal') text += part.value;
  return text;
}
