import type { TokenLogprob } from '../../../gen/mesh/generation/v1/generation_event_pb.ts';
import type { OpenAiLogprobs, OpenAiTokenLogprob } from './openai-chunk.ts';

/** The log-probabilities of a chunk in the mesh's form, appended to `into`. Returns how many tokens it told of. */
export function appendLogprobs(logprobs: OpenAiLogprobs, into: TokenLogprob[]): number {
  if (logprobs.content) {
    for (const entry of logprobs.content) into.push(fromChat(entry));
    return logprobs.content.length;
  }
  const tokens = logprobs.tokens ?? [];
  for (const [index, token] of tokens.entries()) {
    const top = Object.entries(logprobs.top_logprobs?.[index] ?? {});
    into.push(
      tokenLogprob(
        token,
        logprobs.token_logprobs?.[index] ?? 0,
        top.map(([alternative, logprob]) => tokenLogprob(alternative, logprob, [])),
        logprobs.bytes?.[index],
      ),
    );
  }
  return tokens.length;
}

function fromChat(entry: OpenAiTokenLogprob): TokenLogprob {
  const top = (entry.top_logprobs ?? []).map((alternative) => fromChat(alternative));
  const told = tokenLogprob(entry.token ?? '', entry.logprob ?? 0, top, entry.bytes);
  return typeof entry.id === 'number' ? { ...told, tokenId: entry.id } : told;
}

function tokenLogprob(
  token: string,
  logprob: number,
  top: TokenLogprob[],
  bytes?: readonly number[] | null,
): TokenLogprob {
  return {
    $typeName: 'mesh.generation.v1.TokenLogprob',
    token,
    logprob,
    bytes: bytes ? Uint8Array.from(bytes) : new Uint8Array(),
    top,
  };
}
