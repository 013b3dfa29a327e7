import { expect, test } from 'vitest';
import { z } from 'zod';
import { ConfigError, parseConfigFile, validate } from './config-source.ts';

const schema = z.strictObject({ server: z.strictObject({ port: z.coerce.number().max(9).default(1) }).prefault({}) });

test('a wrong value is named by file, line and field', () => {
  const source = parseConfigFile('mesh.yaml', '# comment\nserver:\n  port: 77\n');
  expect(() => validate(schema, source)).toThrow(/^mesh\.yaml:3: server\.port: /);
});

test('an unknown field is named', () => {
  const source = parseConfigFile('mesh.yaml', 'server:\n  port: 7\n  prot: 8\n');
  expect(() => validate(schema, source)).toThrow(/^mesh\.yaml:3: server\.prot: /);
});

test('a syntax error names its line', () => {
  expect(() => parseConfigFile('mesh.yaml', 'server:\n  port: [1\n')).toThrow(ConfigError);
  expect(() => parseConfigFile('mesh.yaml', 'server:\n  port: [1\n')).toThrow(/^mesh\.yaml:[23]: /);
});

test('the first given override wins and is named when wrong', () => {
  const source = parseConfigFile('mesh.yaml', 'server: { port: 2 }');
  source.override(['server', 'port'], { '--port': undefined, MESH_PORT: '5', PORT: '6' });
  expect(validate(schema, source).server.port).toBe(5);
  source.override(['server', 'port'], { '--port': '77' });
  expect(() => validate(schema, source)).toThrow(/^--port: server\.port: /);
});

test('an empty file means defaults', () => {
  expect(validate(schema, parseConfigFile('mesh.yaml', ''))).toEqual({ server: { port: 1 } });
});
