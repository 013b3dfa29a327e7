/** Entry of the embedded engine's process: llama.cpp behind an OpenAI-compatible HTTP server on a Unix socket. */
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { basename } from 'node:path';
import { ArgumentError, type Arguments, parseArguments, USAGE } from './arguments.ts';
import { createEngineServer } from './http-server.ts';
import { type LlamaEngine, loadEngine } from './llama-engine.ts';

function exitWith(message: string): never {
  process.stderr.write(`${message}\n`);
  process.exit(1);
}

function printEvent(event: object): void {
  process.stdout.write(`${JSON.stringify(event)}\n`);
}

function readArguments(): Arguments {
  try {
    return parseArguments(process.argv.slice(2));
  } catch (error) {
    if (error instanceof ArgumentError) exitWith(`${error.message}; usage: ${USAGE}`);
    throw error;
  }
}

function readApiKey(variable: string | undefined): string | undefined {
  if (variable === undefined) return undefined;
  const key = process.env[variable];
  // A key that was announced and is missing must not mean an open server.
  if (key === undefined || key === '') exitWith(`--api-key-env: the environment variable ${variable} is not set`);
  return key;
}

const options = readArguments();
let engine: LlamaEngine | undefined;
const server = createEngineServer({ engine: () => engine, apiKey: readApiKey(options.apiKeyVariable) });

async function shutDown(): Promise<void> {
  server.close();
  // Streams that still run were given their time by whoever sent the signal.
  server.closeAllConnections();
  await engine?.close();
  process.exit(0);
}
process.once('SIGTERM', () => {
  shutDown().catch((error: unknown) => exitWith(`could not shut down: ${String(error)}`));
});

// Ours alone by contract; one that a killed predecessor left behind would make listening fail.
await rm(options.socketPath, { force: true });
process.umask(0o177);
server.listen(options.socketPath);
try {
  await once(server, 'listening');
} catch (error) {
  exitWith(`cannot listen on the socket: ${String(error)}`);
}

try {
  engine = await loadEngine(options, (percent) => printEvent({ event: 'loading', percent }));
} catch (error) {
  const reason = (error instanceof Error ? error.message : String(error)).split('\n')[0];
  exitWith(`cannot load the model ${basename(options.modelPath)}: ${reason}`);
}
const { model, device, contextTokens, sequences, threads } = engine;
printEvent({ event: 'ready', model, device, contextTokens, sequences, threads });
