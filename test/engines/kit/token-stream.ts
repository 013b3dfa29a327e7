// The tokens of one generation, in whatever form, with the faults of the script.
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import type { FakeState } from './engine-state.ts';
import type { FaultScript } from './fault-script.ts';

/** Long enough for the socket to take what was written, so that a cut loses only what comes after it. */
const FLUSH_MS = 20;

/** Pieces so small cut every character of four bytes. */
const PIECE_BYTES = 3;

/** Stands in a token's text for bytes that are no UTF-8. */
const RAW_MARKER = '\ue000raw\ue000';
const RAW_BYTES = Buffer.from('f09f98', 'hex');

/** A generation in an engine's own form. */
export interface TokenForm {
  /** How many tokens; the script's own number comes first. */
  readonly total: number;
  /** The bytes of the token at `index` with that text. */
  readonly token: (index: number, text: string) => Buffer;
  /** What comes after the last one. */
  readonly tail: () => Buffer;
  /** How the engine tells an error inside a stream. */
  readonly error: () => Buffer;
}

/** Writes a generation into a response whose headers are set; ends it, or does what the script says instead. */
export async function streamTokens(
  response: ServerResponse,
  script: FaultScript,
  state: FakeState,
  form: TokenForm,
): Promise<void> {
  response.flushHeaders();
  const total = tokensOf(script, form.total);
  for (let index = 0; index < total; index++) {
    if (response.destroyed) return;
    const bytes = withRawBytes(form.token(index, textOf(script, index)));
    if (await misbehaves(response, script, state, { index, bytes, error: form.error })) return;
    state.step++;
    state.generatedTokens++;
    await write(script, response, bytes);
    if (script.everyMs) await delay(script.everyMs);
  }
  await write(script, response, withRawBytes(form.tail()));
  response.end();
}

/** How many tokens a generation makes. */
export function tokensOf({ tokens }: FaultScript, asked: number): number {
  return tokens ?? asked;
}

/** The text of the token at `index`. */
export function textOf({ texts, splitUtf8, invalidUtf8 }: FaultScript, index: number): string {
  if (invalidUtf8 && index === 0) return `${RAW_MARKER} after`;
  if (splitUtf8) return index % 2 === 0 ? '' : '🙂';
  return texts?.[index % texts.length] ?? ` t${index}`;
}

/** All text of a generation; what is no UTF-8 as the replacement character. */
export function wholeText(script: FaultScript, total: number): string {
  const texts = Array.from({ length: tokensOf(script, total) }, (_, index) => textOf(script, index));
  return texts.join('').replace(RAW_MARKER, '\ufffd');
}

async function misbehaves(
  response: ServerResponse,
  script: FaultScript,
  state: FakeState,
  at: { readonly index: number; readonly bytes: Buffer; readonly error: () => Buffer },
): Promise<boolean> {
  if (script.exitAtToken?.token === at.index) {
    await delay(FLUSH_MS);
    process.exit(script.exitAtToken.code);
  }
  if (script.hangAtToken === at.index) state.hung = true;
  if (state.hung) {
    await once(response, 'close');
    return true;
  }
  if (script.errorAtToken === at.index) {
    await write(script, response, at.error());
    response.end();
    return true;
  }
  if (script.halfChunkAtToken === at.index) {
    await write(script, response, at.bytes.subarray(0, at.bytes.length >> 1));
  }
  if (script.halfChunkAtToken !== at.index && script.cutAtToken !== at.index) return false;
  await delay(FLUSH_MS);
  response.destroy();
  return true;
}

async function write({ splitUtf8, invalidUtf8 }: FaultScript, response: ServerResponse, bytes: Buffer): Promise<void> {
  const size = splitUtf8 || invalidUtf8 ? PIECE_BYTES : bytes.length;
  for (let at = 0; at < bytes.length; at += size) {
    if (response.destroyed) return;
    const taken = response.write(bytes.subarray(at, at + size));
    if (!taken) await Promise.race([once(response, 'drain'), once(response, 'close')]);
    // A turn of the event loop, so that the pieces are not joined again.
    if (size < bytes.length) await delay(0);
  }
}

function withRawBytes(bytes: Buffer): Buffer {
  const marker = Buffer.from(RAW_MARKER);
  const at = bytes.indexOf(marker);
  return at === -1 ? bytes : Buffer.concat([bytes.subarray(0, at), RAW_BYTES, bytes.subarray(at + marker.length)]);
}
