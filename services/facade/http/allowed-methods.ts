/** Which methods a path has, for `Allow`. */
export interface AllowedMethods {
  /** Notes a route; a pattern may end with `*`. */
  add(pattern: string, methods: string | readonly string[]): void;
  /** The value of `Allow`, or undefined for a path that has no route. */
  of(url: string): string | undefined;
}

/** Makes an empty AllowedMethods. */
export function createAllowedMethods(): AllowedMethods {
  const byPath = new Map<string, Set<string>>();
  const byPrefix = new Map<string, Set<string>>();
  return {
    add: (pattern, methods) => {
      const wildcard = pattern.endsWith('*');
      const table = wildcard ? byPrefix : byPath;
      const key = wildcard ? pattern.slice(0, -1) : pattern;
      const known = table.get(key) ?? new Set(['OPTIONS']);
      for (const method of typeof methods === 'string' ? [methods] : methods) known.add(method);
      table.set(key, known);
    },
    of: (url) => {
      const path = url.split('?', 1)[0] ?? '';
      const bare = path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path;
      const exact = byPath.get(bare);
      if (exact) return list(exact);
      for (const [prefix, methods] of byPrefix) if (path.startsWith(prefix)) return list(methods);
      return undefined;
    },
  };
}

function list(methods: ReadonlySet<string>): string {
  return [...methods].sort().join(', ');
}
