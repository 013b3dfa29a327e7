import { expect, test } from 'vitest';
import { z } from 'zod';
import { ConfigError, parseConfigFile, validate } from './shared/lifecycle/config-source.ts';
import { overrideTraces, TRACES_FIELDS, type TracesConfig, tracesVariables } from './traces-config.ts';

const schema = z.strictObject({ observability: z.strictObject(TRACES_FIELDS).prefault({}) });

function read(env: Record<string, string>, fields: object = {}): TracesConfig {
  const source = parseConfigFile('mesh.yaml', JSON.stringify({ observability: fields }));
  overrideTraces(source, env);
  return validate(schema, source).observability;
}

function variables(env: Record<string, string>, fields: object = {}): Record<string, string> | undefined {
  return tracesVariables(read(env, fields), env);
}

test('nothing is recorded unless somebody says where to', () => {
  expect(variables({})).toBeUndefined();
  expect(variables({ OTEL_SERVICE_NAME: 'x', OTEL_TRACES_SAMPLER: 'always_on' })).toBeUndefined();
  for (const name of ['OTEL_EXPORTER_OTLP_ENDPOINT', 'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT']) {
    expect(variables({ [name]: 'http://c:4318' })).toMatchObject({ [name]: 'http://c:4318' });
  }
  expect(variables({ OTEL_TRACES_EXPORTER: 'console' })).toMatchObject({ OTEL_TRACES_EXPORTER: 'console' });
});

test('who turns it off turns it off', () => {
  const fields = { traces_endpoint: 'http://c:4318' };
  expect(variables({}, fields)).toBeDefined();
  expect(variables({ OTEL_SDK_DISABLED: 'TRUE' }, fields)).toBeUndefined();
  expect(variables({ OTEL_TRACES_EXPORTER: 'none' }, fields)).toBeUndefined();
});

test('standard variables stand above the file, and the SDK gets both', () => {
  const fields = { traces_endpoint: 'http://file:4318', traces_sampler: 'traceidratio', traces_sample_ratio: 0.5 };
  const env = {
    OTEL_EXPORTER_OTLP_ENDPOINT: 'http://env:4318',
    OTEL_TRACES_SAMPLER_ARG: '0.25',
    OTEL_SERVICE_NAME: 'me',
    PATH: '/',
  };
  expect(variables(env, fields)).toEqual({
    OTEL_EXPORTER_OTLP_ENDPOINT: 'http://env:4318',
    OTEL_EXPORTER_OTLP_PROTOCOL: 'http/protobuf',
    OTEL_TRACES_SAMPLER: 'traceidratio',
    OTEL_TRACES_SAMPLER_ARG: '0.25',
    OTEL_SERVICE_NAME: 'me',
  });
});

test('texts are recorded only where somebody asks for it', () => {
  expect(read({}).traces_content).toBe(false);
  expect(read({ OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT: 'true' }).traces_content).toBe(true);
});

test.each([
  [{ OTEL_TRACES_SAMPLER: 'sometimes' }, 'OTEL_TRACES_SAMPLER'],
  [{ OTEL_TRACES_SAMPLER_ARG: '1.5' }, 'OTEL_TRACES_SAMPLER_ARG'],
  [{ OTEL_EXPORTER_OTLP_PROTOCOL: 'http' }, 'OTEL_EXPORTER_OTLP_PROTOCOL'],
  [{ OTEL_EXPORTER_OTLP_ENDPOINT: 'collector:4318' }, 'OTEL_EXPORTER_OTLP_ENDPOINT'],
  [{ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://user:word@c:4318' }, 'OTEL_EXPORTER_OTLP_ENDPOINT'],
  [{ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'nowhere' }, 'OTEL_EXPORTER_OTLP_TRACES_ENDPOINT'],
  [{ OTEL_TRACES_EXPORTER: 'otlp,jaeger' }, "OTEL_TRACES_EXPORTER: 'jaeger'"],
  [{ OTEL_PROPAGATORS: 'xray' }, 'OTEL_PROPAGATORS'],
  [{ OTEL_SDK_DISABLED: 'yes' }, 'OTEL_SDK_DISABLED'],
  [{ OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT: 'maybe' }, 'CAPTURE_MESSAGE_CONTENT'],
])('%o is refused by name', (env, name) => {
  expect(() => read(env)).toThrow(ConfigError);
  expect(() => read(env)).toThrow(name);
});
