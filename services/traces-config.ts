import { z } from 'zod';
import { ConfigError, type Source } from './shared/lifecycle/config-source.ts';
import { flagValue } from './shared/lifecycle/flag-value.ts';

const SAMPLERS = [
  'always_on',
  'always_off',
  'traceidratio',
  'parentbased_always_on',
  'parentbased_always_off',
  'parentbased_traceidratio',
] as const;
const PROTOCOLS = ['http/protobuf', 'http/json', 'grpc'] as const;
const EXPORTERS = ['otlp', 'zipkin', 'console', 'none'] as const;
const PROPAGATORS = ['tracecontext', 'baggage', 'b3', 'b3multi', 'none'] as const;

/** The fields of the section `observability` that are about traces. */
export const TRACES_FIELDS = {
  /** Where traces go by OTLP, e.g. "http://collector:4318". Unset: nowhere, unless OTEL_* variables say so; then nothing is recorded. */
  traces_endpoint: z
    .string()
    .refine(isEndpoint, 'must be http://host:port or https://host:port without credentials')
    .optional(),
  /** How they are sent there. */
  traces_protocol: z.enum(PROTOCOLS).default('http/protobuf'),
  /** Which traces are recorded, in the words of OTEL_TRACES_SAMPLER; "parentbased" lets a caller who sends a `traceparent` decide. */
  traces_sampler: z.enum(SAMPLERS).default('parentbased_always_on'),
  /** The part of traces that the samplers with "traceidratio" record, 0 to 1. */
  traces_sample_ratio: z.number().min(0).max(1).default(1),
  /** Whether spans hold what people write and are answered. */
  traces_content: z.boolean().default(false),
};

/** What they say. */
export type TracesConfig = z.output<z.ZodObject<typeof TRACES_FIELDS>>;

/**
 * Puts the standard variables of OpenTelemetry over the fields that say the same.
 *
 * @throws ConfigError for a value of another one that means nothing: traces that somebody wants must not silently be missing
 */
export function overrideTraces(source: Source, env: NodeJS.ProcessEnv): void {
  const override = (field: keyof TracesConfig, name: string, parse?: (text: string) => unknown): void =>
    source.override(['observability', field], { [name]: env[name] }, parse);
  override('traces_endpoint', 'OTEL_EXPORTER_OTLP_ENDPOINT');
  override('traces_protocol', 'OTEL_EXPORTER_OTLP_PROTOCOL');
  override('traces_sampler', 'OTEL_TRACES_SAMPLER');
  override('traces_sample_ratio', 'OTEL_TRACES_SAMPLER_ARG', Number);
  override('traces_content', 'OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT', flagValue);
  requireOneOf(env, 'OTEL_TRACES_EXPORTER', EXPORTERS);
  requireOneOf(env, 'OTEL_PROPAGATORS', PROPAGATORS);
  requireOneOf(env, 'OTEL_EXPORTER_OTLP_TRACES_PROTOCOL', PROTOCOLS);
  requireOneOf(env, 'OTEL_SDK_DISABLED', ['true', 'false']);
  const endpoint = env.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT;
  if (endpoint && !isEndpoint(endpoint)) {
    throw new ConfigError(
      'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: must be http://host:port/v1/traces, without credentials',
    );
  }
}

/**
 * The variables by which the SDK of OpenTelemetry records traces: those of the environment, and what the configuration says.
 * Undefined: nobody wants traces.
 */
export function tracesVariables(config: TracesConfig, env: NodeJS.ProcessEnv): Record<string, string> | undefined {
  const isDisabled = env.OTEL_SDK_DISABLED?.toLowerCase() === 'true' || env.OTEL_TRACES_EXPORTER === 'none';
  const isWanted = config.traces_endpoint || env.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT || env.OTEL_TRACES_EXPORTER;
  if (isDisabled || !isWanted) return undefined;
  const given = Object.entries(env).filter(([name, value]) => name.startsWith('OTEL_') && value);
  return {
    ...(Object.fromEntries(given) as Record<string, string>),
    ...(config.traces_endpoint === undefined ? {} : { OTEL_EXPORTER_OTLP_ENDPOINT: config.traces_endpoint }),
    OTEL_EXPORTER_OTLP_PROTOCOL: config.traces_protocol,
    OTEL_TRACES_SAMPLER: config.traces_sampler,
    OTEL_TRACES_SAMPLER_ARG: String(config.traces_sample_ratio),
  };
}

/** Every part of a list, in any letter case. */
function requireOneOf(env: NodeJS.ProcessEnv, name: string, known: readonly string[]): void {
  const text = env[name];
  if (!text) return;
  const strange = text.split(',').find((part) => !known.includes(part.trim().toLowerCase()));
  if (strange !== undefined) throw new ConfigError(`${name}: '${strange.trim()}' is none of ${known.join(', ')}`);
}

/** Credentials have a place of their own, which is not shown: OTEL_EXPORTER_OTLP_HEADERS. */
function isEndpoint(text: string): boolean {
  const url = URL.parse(text);
  return url !== null && /^https?:$/.test(url.protocol) && url.username === '' && url.password === '';
}
