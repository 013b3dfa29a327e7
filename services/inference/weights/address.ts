import { hubPathSchema } from './hub-path.ts';

/** A GGUF file at an address that an operator names. */
export interface AddressReference {
  /** The address; it holds nothing secret. */
  readonly text: string;
  readonly url: URL;
  readonly fileName: string;
}

/** The form, for messages. */
export const ADDRESS_FORM =
  'https://host/path/name.gguf (http on loopback only) without a user, query or fragment, and no part of a split model';

const LOOPBACK = /^(localhost|127(\.\d+){3}|\[::1\])$/;

const MAX_FILE_NAME_LENGTH = 200;

/** Whether a configured model is meant as an address and not as a path. */
export function isAddress(model: string): boolean {
  return /^https?:/i.test(model);
}

/** Reads the address of a GGUF file. Undefined: it has another form. */
export function parseAddress(text: string): AddressReference | undefined {
  if (!isAddress(text) || !URL.canParse(text)) return undefined;
  const url = new URL(text);
  if (url.username || url.password || /[?#]/.test(text)) return undefined;
  if (url.protocol !== 'https:' && !LOOPBACK.test(url.hostname)) return undefined;
  const fileName = decoded(url.pathname.split('/').at(-1) ?? '');
  if (!fileName?.endsWith('.gguf') || fileName.includes('/') || fileName.length > MAX_FILE_NAME_LENGTH)
    return undefined;
  if (!hubPathSchema.safeParse(fileName).success || /-\d{5}-of-\d{5}\.gguf$/.test(fileName)) return undefined;
  return { text: url.href, url, fileName };
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
