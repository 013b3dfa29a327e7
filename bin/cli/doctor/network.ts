import { once } from 'node:events';
import { createServer, connect as dial } from 'node:net';
import type { Config } from '../../../services/config.ts';
import { NAME_PREFIX } from '../../../services/shared/transport/router-sources.ts';
import { findKey } from '../address.ts';
import { connect } from '../connection.ts';
import { EXIT } from '../exit-code.ts';
import { failureOf } from '../failure.ts';
import { readSecretLine } from '../secret-input.ts';
import type { Session } from '../session.ts';
import { type Finding, ok, problem, warning } from './finding.ts';

/** The longest that a process of the mesh may take to accept a connection, in milliseconds. */
const CONNECT_TIMEOUT_MS = 3_000;

/** Whether a start could listen, or a mesh already does. */
export async function checkPort({ server, port, roles }: Config): Promise<Finding> {
  if (port === 0) return ok('port', 'a free one at each start');
  const { host } = server;
  const probe = createServer();
  const listening = once(probe, 'listening');
  probe.listen(port, host);
  try {
    await listening;
  } catch (error) {
    return await explainPort(host, port, (error as NodeJS.ErrnoException).code ?? '', roles.has('facade'));
  }
  probe.close();
  return ok('port', `${host}:${port} is free`);
}

async function explainPort(host: string, port: number, code: string, isPublic: boolean): Promise<Finding> {
  const where = `${host}:${port}`;
  if (code === 'EADDRINUSE') {
    // The others answer processes of the mesh alone.
    if (!isPublic)
      return warning(
        'port',
        `${where} is taken`,
        'By this process, if it runs already; else choose another with --port.',
      );
    const isMesh = await fetch(`${localUrl(host, port)}/healthz`, {
      signal: AbortSignal.timeout(CONNECT_TIMEOUT_MS),
    }).then(
      (answer) => answer.ok,
      () => false,
    );
    if (isMesh) return ok('port', `a mesh listens on ${where}`);
    return problem('port', `another program has ${where}`, 'Stop it, or choose another with --port.');
  }
  if (code === 'EACCES') return problem('port', `this user may not use ${where}`, 'Choose one above 1023 with --port.');
  return problem('port', `${where}: ${code}`, 'Look at --host: it must be an address of this machine.');
}

/** Where a mesh of this machine answers that listens on `host`. */
function localUrl(host: string, port: number): string {
  const name = ['0.0.0.0', '::'].includes(host) ? '127.0.0.1' : host;
  return `http://${name.includes(':') ? `[${name}]` : name}:${port}`;
}

/** Whether the other processes of the mesh that the environment names accept connections. */
export async function checkPeers({ peers, routers }: Config): Promise<Finding[]> {
  // Behind a name it is any of them that is asked.
  const addresses = routers.map((url) => url.slice(url.startsWith(NAME_PREFIX) ? NAME_PREFIX.length : 0));
  const named = new Set([...peers.values(), ...addresses]);
  return await Promise.all([...named].map(checkPeer));
}

async function checkPeer(url: string): Promise<Finding> {
  const { hostname, port, protocol } = new URL(url);
  const socket = dial(Number(port || (protocol === 'https:' ? 443 : 80)), hostname.replace(/^\[|\]$/g, ''));
  try {
    await once(socket, 'connect', { signal: AbortSignal.timeout(CONNECT_TIMEOUT_MS) });
    return ok('reachability', `${url} accepts connections`);
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code ?? 'no answer in time';
    return problem('reachability', `${url}: ${why}`, 'Start that process, or mend MESH_PEER_<ROLE>.');
  } finally {
    socket.destroy();
  }
}

/** Whether the mesh answers that commands would call, or that this configuration makes, and takes the key. */
export async function checkMesh(session: Session, config: Config): Promise<Finding[]> {
  const { options, host } = session;
  const wasNamed = Boolean(options.url ?? host.env.MESH_URL);
  // Only the public port answers callers.
  if (!wasNamed && (!config.roles.has('facade') || config.port === 0)) return [];
  const url = wasNamed ? session.url : localUrl(config.server.host, config.port);
  const where = wasNamed ? options : { ...options, dataDir: config.server.data_dir };
  try {
    const key = await findKey(where, url, host.env, host.workingDirectory, () => readSecretLine(session, 'API key: '));
    const { models } = await connect(url, key).router.listModels({}, session.call);
    const ready = models.filter(({ ready: isReady }) => isReady).length;
    const what = `${url} answers and takes the key; ${ready} of ${models.length} models are ready`;
    if (ready > 0 || models.length === 0) return [ok('mesh', what)];
    return [warning('mesh', what, '`engines list` says how the engines are, `engines logs` why.')];
  } catch (error) {
    const { exitCode, message, hint = '' } = failureOf(error, url);
    // None runs here yet, and nobody said that one does.
    if (exitCode === EXIT.unavailable && !wasNamed)
      return [warning('mesh', message, 'Start one: inference-mesh start')];
    return [problem('mesh', message, hint)];
  }
}
