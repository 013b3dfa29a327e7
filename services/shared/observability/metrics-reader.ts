import { type Principal, Scope } from '../../../gen/mesh/auth/v1/principal_pb.ts';
import { MeshError } from '../errors/mesh-error.ts';
import { hasScope } from '../interceptors/principal.ts';

/** Who may read metrics on the port that callers use: anybody, callers with the scope `admin`, or nobody. */
export type MetricsAccess = 'open' | 'admin' | 'off';

/**
 * What a reader of metrics gets. `credential` is asked for only where metrics are for admins.
 *
 * @throws MeshError NOT_FOUND where there are none for callers; CREDENTIAL_MISSING, CREDENTIAL_INVALID or SCOPE_MISSING where
 * they are for admins; what `credential` throws.
 */
export type ReadMetrics = (credential: () => string | undefined, clientIp: string | undefined) => Promise<string>;

/** Makes metrics in Prometheus' text format. */
export type ReadText = () => Promise<string>;

/** What is read, and who decides who somebody is. */
export interface MetricsReaderParts {
  /** Unset: nothing is counted. */
  readonly text: ReadText | undefined;
  readonly access: MetricsAccess;
  readonly authenticate: (credential: string, clientIp: string | undefined) => Promise<Principal>;
}

/** Makes what answers callers who ask for metrics. */
export function createMetricsReader({ text, access, authenticate }: MetricsReaderParts): ReadMetrics {
  return async (credential, clientIp) => {
    if (!text || access === 'off') {
      throw new MeshError('NOT_FOUND', 'Metrics are not told on this port.', { metadata: { kind: 'route' } });
    }
    if (access === 'admin') requireAdmin(await known(credential(), clientIp));
    return await text();
  };

  async function known(credential: string | undefined, clientIp: string | undefined): Promise<Principal> {
    if (credential === undefined) throw new MeshError('CREDENTIAL_MISSING', 'Invalid API key');
    return await authenticate(credential, clientIp);
  }
}

function requireAdmin(principal: Principal): void {
  if (hasScope(principal, Scope.ADMIN)) return;
  throw new MeshError('SCOPE_MISSING', 'This needs the scope "admin".', { metadata: { scope: 'admin' } });
}
