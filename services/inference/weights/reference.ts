/** What a model is named by when it lies in a repository of a Hugging Face hub. */
export interface HubReference {
  /** As it was written, e.g. "hf:Qwen/Qwen2.5-0.5B-Instruct-GGUF:Q8_0". */
  readonly text: string;
  readonly user: string;
  readonly repository: string;
  /** E.g. "Q8_0". Unset: the usual choice. */
  readonly quantization: string | undefined;
}

const SCHEME = 'hf:';

/** The form, for messages. */
export const HUB_REFERENCE_FORM = 'hf:user/repository or hf:user/repository:quantization';

const MAX_NAME_LENGTH = 96;

/** Whether a name has the form of a model of a Hugging Face hub, `<user>/<repository>`, or of an old one without a user. */
export function isHubId(name: string): boolean {
  const parts = name.split('/');
  return parts.length <= 2 && parts.every(isHubName);
}

/** Whether a configured model is meant as a reference to a hub and not as a path. */
export function isHubReference(model: string): boolean {
  return model.startsWith(SCHEME);
}

/** Reads "hf:user/repository[:quantization]". Undefined: it has another form. */
export function parseHubReference(text: string): HubReference | undefined {
  const [, user = '', repository = '', quantization] =
    /^hf:([^/:]+)\/([^/:]+)(?::([A-Za-z0-9][\w.-]{0,63}))?$/.exec(text) ?? [];
  if (!isHubName(user) || !isHubName(repository)) return undefined;
  return { text, user, repository, quantization };
}

/** What the hub takes as a name. It never holds "..", and never "--", which our directories are joined with. */
function isHubName(name: string): boolean {
  return name.length <= MAX_NAME_LENGTH && /^\w+(?:[-.]\w+)*$/.test(name);
}
