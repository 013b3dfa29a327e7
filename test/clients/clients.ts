import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { findBrowser } from '../harness/browser.ts';
import { hasPython, pythonEnvironment } from '../harness/python-environment.ts';
import { startPage } from './browser/browser-client.ts';
import { generateCode } from './generate-code.ts';
import { type RpcClient, startClientProgram } from './rpc-client.ts';
import { hasGo, runTool } from './tools.ts';

const proto = join(import.meta.dirname, '../../proto');

/** The clients, as docs/clients.md has them. */
export const CLIENT_NAMES = ['Go', 'Python', 'Node.js', 'browser, Connect', 'browser, gRPC-Web'] as const;

/** A client in some language. */
export interface ClientKind {
  readonly name: (typeof CLIENT_NAMES)[number];
  /** How often it sends a PING, in milliseconds. Unset: never. */
  readonly keepaliveMs?: number;
  /** Makes it, with code generated from our protos, in an empty folder of its own. */
  start(folder: string): Promise<RpcClient>;
}

/** Those that need nothing but what the tests need anyway. A browser that is missing is told. */
export function nearClients(): ClientKind[] {
  const program = findBrowser();
  const pages: ClientKind[] = [
    { name: 'browser, Connect', start: (folder) => startPage('connect', program ?? '', folder) },
    { name: 'browser, gRPC-Web', start: (folder) => startPage('grpc-web', program ?? '', folder) },
  ];
  return [{ name: 'Node.js', keepaliveMs: 300, start: startNode }, ...(program === undefined ? [] : pages)];
}

/** Those that need a compiler or packages of their own. What is missing is told. */
export function farClients(): ClientKind[] {
  // It sends none more often.
  const go: ClientKind = { name: 'Go', keepaliveMs: 10_000, start: startGo };
  const python: ClientKind = { name: 'Python', keepaliveMs: 300, start: startPython };
  return [...(hasGo() ? [go] : []), ...(hasPython() ? [python] : [])];
}

/** @grpc/grpc-js; @grpc/proto-loader reads our protos when it starts. */
async function startNode(): Promise<RpcClient> {
  return startClientProgram(process.execPath, [join(import.meta.dirname, 'node/client.ts'), proto]);
}

/** google.golang.org/grpc, its generators as the tools of the module. */
async function startGo(folder: string): Promise<RpcClient> {
  cpSync(join(import.meta.dirname, 'go'), folder, { recursive: true });
  const plugins = ['protoc-gen-go', 'protoc-gen-go-grpc'];
  await generateCode(
    folder,
    plugins.map((name) => ({ local: ['go', 'tool', name], out: 'gen', opt: 'paths=source_relative' })),
    {
      enabled: true,
      disable: [{ file_option: 'go_package', path: 'google/rpc' }],
      override: [{ file_option: 'go_package_prefix', value: 'example.com/clients/gen' }],
    },
  );
  await runTool('go', ['build', '-o', 'client', '.'], { cwd: folder });
  return startClientProgram(join(folder, 'client'), []);
}

/** grpcio, its code by grpcio-tools. */
async function startPython(folder: string): Promise<RpcClient> {
  const requirements = join(import.meta.dirname, 'python/requirements.txt');
  const python = await pythonEnvironment({ name: 'clients', requirements });
  const files = await runTool('find', ['mesh', 'third_party/buf', '-name', '*.proto'], { cwd: proto });
  const names = files
    .trim()
    .split('\n')
    .map((name) => name.replace('third_party/', ''));
  const places = ['-I', 'third_party', '-I', '.', `--python_out=${folder}`, `--grpc_python_out=${folder}`];
  await runTool(python, ['-m', 'grpc_tools.protoc', ...places, ...names], { cwd: proto });
  return startClientProgram(python, ['-B', join(import.meta.dirname, 'python/client.py'), folder]);
}
