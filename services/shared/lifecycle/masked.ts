/** Fields whose value is a secret, by name. */
const SECRET_FIELD = /token|secret|password|pepper|hash|api_keys?$|redisUrl|environmentKeys/i;

/** The user and password of an address. */
const URL_USER = /(?<=^[a-z][a-z0-9+.-]*:\/\/)[^/@]*(?=@)/i;

/**
 * A copy for people's eyes: secrets become "***", also those in addresses and all values of environments; sets and maps
 * become plain values.
 */
export function masked(value: unknown, field = ''): unknown {
  if (value instanceof Set) return masked([...value], field);
  if (value instanceof Map) return masked(Object.fromEntries(value), field);
  if (Array.isArray(value)) return value.map((item) => masked(item, typeof item === 'string' ? field : ''));
  if (typeof value === 'object' && value !== null) {
    const isEnvironment = field === 'env';
    return Object.fromEntries(
      Object.entries(value).map(([name, inner]) => [name, isEnvironment ? '***' : masked(inner, name)]),
    );
  }
  if (typeof value !== 'string') return value;
  return SECRET_FIELD.test(field) ? '***' : value.replace(URL_USER, '***');
}
