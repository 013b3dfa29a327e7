const DEFAULT_PREFIX = /^(?:registry\.ollama\.ai\/)?(?:library\/)?/i;

/** A model's name as Ollama lists it: without the default registry, with its tag, in lower case. */
export function canonicalName(name: string): string {
  const short = name.replace(DEFAULT_PREFIX, '').toLowerCase();
  const hasTag = short.lastIndexOf(':') > short.lastIndexOf('/');
  return hasTag ? short : `${short}:latest`;
}
