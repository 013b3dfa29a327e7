/** Which methods a path has, for `Allow`. */
export interface AllowedMethods {
  /** Notes a route; a part of a pattern may be `:name`, its end `*`. */
  add(pattern: string, methods: string | readonly string[]): void;
  /** The value of `Allow`, or undefined for a path that has no route. `*` stands for the server, which has them all. */
  of(url: string): string | undefined;
}

/** Makes an empty AllowedMethods. */
export function createAllowedMethods(): AllowedMethods {
  const byPattern = new Map<string, { readonly form: RegExp; readonly methods: Set<string> }>();
  return {
    add: (pattern, methods) => {
      const known = byPattern.get(pattern) ?? { form: formOf(pattern), methods: new Set(['OPTIONS']) };
      for (const method of typeof methods === 'string' ? [methods] : methods) known.methods.add(method);
      byPattern.set(pattern, known);
    },
    of: (url) => {
      if (url === '*') return list(new Set([...byPattern.values()].flatMap(({ methods }) => [...methods])));
      const path = url.split('?', 1)[0] ?? '';
      const bare = path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path;
      const exact = byPattern.get(bare);
      if (exact) return list(exact.methods);
      for (const { form, methods } of byPattern.values()) if (form.test(path)) return list(methods);
      return undefined;
    },
  };
}

/** What the paths of a pattern look like. */
function formOf(pattern: string): RegExp {
  const literal = pattern.replace(/[.+?^${}()|[\]\\]/g, '\\$&');
  return new RegExp(`^${literal.replace(/:\w+/g, '[^/]+').replace(/\*$/, '.*')}/?$`);
}

function list(methods: ReadonlySet<string>): string {
  return [...methods].sort().join(', ');
}
