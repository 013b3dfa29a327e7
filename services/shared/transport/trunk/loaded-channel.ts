import type { EncodedCommand } from './command-codec.ts';
import type { ChannelListener, openChannel, TrunkChannel, TrunkTarget } from './trunk-channel.ts';
import { trunkFailure } from './trunk-failure.ts';

/** What opens channels, once it is loaded. */
let open: typeof openChannel | undefined;

/**
 * Loads what opens channels. A mesh in one process opens none, and grpc-js would be 8 MB of it; whoever knows another
 * process loads it before the first request.
 *
 * @throws what the file system says when it cannot be read.
 */
export async function loadChannels(): Promise<void> {
  open ??= (await import('./trunk-channel.ts')).openChannel;
}

/** As openChannel; what is sent before that is loaded goes out then, in order. */
export function openLoadedChannel(target: TrunkTarget, listener: ChannelListener): TrunkChannel {
  return open ? open(target, listener) : new LoadingChannel(target, listener);
}

class LoadingChannel implements TrunkChannel {
  readonly #listener: ChannelListener;
  #channel: TrunkChannel | undefined;
  #unsent: (readonly EncodedCommand[])[] = [];
  #isEnding = false;
  #isOver = false;

  constructor(target: TrunkTarget, listener: ChannelListener) {
    this.#listener = listener;
    loadChannels()
      .then(() => this.#begin(target))
      .catch((cause: unknown) => this.#fail(cause));
  }

  send(commands: readonly EncodedCommand[]): void {
    if (this.#channel) this.#channel.send(commands);
    else if (!this.#isOver) this.#unsent.push(commands);
  }

  end(): void {
    this.#isEnding = true;
    this.#channel?.end();
  }

  close(): void {
    if (this.#channel) this.#channel.close();
    else this.#fail(undefined);
  }

  #begin(target: TrunkTarget): void {
    if (this.#isOver || !open) return;
    this.#channel = open(target, this.#listener);
    for (const commands of this.#unsent) this.#channel.send(commands);
    this.#unsent = [];
    if (this.#isEnding) this.#channel.end();
  }

  #fail(cause: unknown): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#unsent = [];
    this.#listener.onOver(trunkFailure(cause));
  }
}
