/** What stands where a secret stood. */
export const MASK = '[secret]';

/** Keys of ours and of others, tokens of the hub and of users, passwords in addresses, private keys. */
const SECRETS = [
  /\bbearer\s+\S+/gi,
  /\b(?:im_[0-9A-Za-z]{8,}_[0-9A-Za-z]{16,}|hf_[A-Za-z0-9]{8,}|sk-[A-Za-z0-9_-]{8,})/gi,
  /\beyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?/g,
  /(?<=\b[a-z][a-z0-9+.-]{1,20}:\/\/)[^\s/@:]*:[^\s/@]+(?=@)/gi,
  /-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/g,
];

/** A text in which what looks like a secret is masked. */
export function withoutSecrets(text: string): string {
  let left = text;
  for (const pattern of SECRETS) left = left.replace(pattern, MASK);
  return left;
}
