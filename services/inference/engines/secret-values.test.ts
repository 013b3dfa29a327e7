import { expect, test } from 'vitest';
import { createLogText } from '../supervisor/log-text.ts';
import { secretValues } from './secret-values.ts';

test.each([
  'HF_TOKEN',
  'hf_token',
  'HUGGING_FACE_HUB_TOKEN',
  'API_TOKENS',
  'NGROK_AUTHTOKEN',
  'AWS_SECRET_ACCESS_KEY',
  'AWS_ACCESS_KEY_ID',
  'APIKEY',
  'WANDB_API_KEY',
  'CLIENT_SECRET',
  'PGPASSWORD',
  'DB_PASS',
  'MYSQL_PWD',
  'SSL_PASSPHRASE',
  'AZURE_CREDENTIALS',
  'GIT_PAT',
  'BASIC_AUTH',
])('%s is a secret by its name', (name) => {
  expect(secretValues({ [name]: 'hunter2' })).toEqual(['hunter2']);
});

test.each(['TOKENIZERS_PARALLELISM', 'KEYBOARD', 'PATH', 'HF_HOME', 'COMPASS', 'AUTHOR', 'PATTERN', 'OMP_NUM_THREADS'])(
  '%s is none',
  (name) => {
    expect(secretValues({ [name]: 'hunter2' })).toEqual([]);
  },
);

test.each(['', '0', '1', 'on', 'off', 'yes', 'true', 'False', 'none', 'auto', ' 1 '])(
  '%j says nothing that is worth masking',
  (value) => {
    expect(secretValues({ USE_AUTH_TOKEN: value })).toEqual([]);
  },
);

test('a password in an address is one under any name', () => {
  const variables = { HTTPS_PROXY: 'http://operator:hunter2@proxy:3128', NO_PROXY: 'http://proxy:3128' };
  expect(secretValues(variables)).toEqual(['hunter2']);
});

test('a key of several lines is masked line by line', () => {
  const key = '-----BEGIN KEY-----\r\nc2VjcmV0\n-----END KEY-----\n';
  const log = createLogText(secretValues({ TLS_PRIVATE_KEY: key }));
  expect(log.clean('read c2VjcmV0 from the environment')).toBe('read [secret] from the environment');
});
