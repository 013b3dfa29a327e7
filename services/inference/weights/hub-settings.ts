import { ConfigError } from '../../shared/lifecycle/config-source.ts';

/** Which hub is asked, and how; the variables are those of the hub's own clients. */
export interface HubSettings {
  /** "address": no hub but any server with files. Default "hub". */
  readonly kind?: 'hub' | 'address';
  /** Base address without a slash at its end, e.g. "https://huggingface.co". */
  readonly endpoint: string;
  /** Sent to the endpoint's own origin only. Unset: none. */
  readonly token: string | undefined;
  /** What messages call the place where a token is given. Default "HF_TOKEN". */
  readonly tokenName?: string;
  /** Use only what is on the disk. */
  readonly offline: boolean;
}

const DEFAULT_ENDPOINT = 'https://huggingface.co';

const ON = /^(1|true|yes|on)$/i;

/**
 * Reads HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE.
 *
 * @throws ConfigError that names the variable; it never quotes the token.
 */
export function readHubSettings(environmentVariable: (name: string) => string | undefined): HubSettings {
  const endpoint = environmentVariable('HF_ENDPOINT') || DEFAULT_ENDPOINT;
  const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined;
  if (!url || !/^https?:$/.test(url.protocol) || url.username || url.password || /[?#]/.test(endpoint)) {
    throw new ConfigError(
      'HF_ENDPOINT: expected http://host or https://host, with a path if need be, without a password or a query',
    );
  }
  const token = environmentVariable('HF_TOKEN')?.trim() || undefined;
  if (token !== undefined && !/^[\x21-\x7e]+$/.test(token)) {
    throw new ConfigError('HF_TOKEN: holds characters that no token has; copy it again');
  }
  return {
    endpoint: url.href.replace(/\/+$/, ''),
    token,
    offline: ON.test(environmentVariable('HF_HUB_OFFLINE') ?? ''),
  };
}
