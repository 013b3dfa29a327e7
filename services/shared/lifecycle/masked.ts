/** Fields whose value is a secret, by name. */
const SECRET_FIELD = /token|secret|password|pepper|hash|api_keys?$|redisUrl/i;

/** A copy for people's eyes: secrets become "***", sets and maps become plain values. */
export function masked(value: unknown, field = ''): unknown {
  if (value instanceof Set) return masked([...value], field);
  if (value instanceof Map) return masked(Object.fromEntries(value), field);
  if (Array.isArray(value)) return value.map((item) => masked(item, typeof item === 'string' ? field : ''));
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, masked(inner, name)]));
  }
  return typeof value === 'string' && SECRET_FIELD.test(field) ? '***' : value;
}
