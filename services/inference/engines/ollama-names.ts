const DEFAULT_HOST = 'registry.ollama.ai';
const DEFAULT_NAMESPACE = 'library';
const DEFAULT_TAG = 'latest';

/** The whole name of a model: host, namespace, model and tag. */
export function nameParts(name: string): readonly [host: string, namespace: string, model: string, tag: string] {
  const path = name.split('/');
  const [model = '', tag = DEFAULT_TAG] = (path.pop() ?? '').split(':');
  const namespace = path.pop() ?? DEFAULT_NAMESPACE;
  return [path.join('/') || DEFAULT_HOST, namespace, model, tag];
}

/** Whether two names are of the same model; Ollama compares them without case. */
export function isSameModel(one: string, other: string): boolean {
  return nameParts(one).join('/').toLowerCase() === nameParts(other).join('/').toLowerCase();
}
