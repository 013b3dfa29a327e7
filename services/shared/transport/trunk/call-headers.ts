import { RouterService } from '../../../../gen/mesh/router/v1/router_service_pb.ts';
import { MeshError } from '../../errors/mesh-error.ts';
import { credentialOf } from '../../interceptors/credential.ts';
import type { Vouching } from '../../interceptors/on-behalf-of.ts';
import { traceHeadersOf } from '../../observability/trace-headers.ts';
import { tracer } from '../../observability/tracer.ts';
import type { GenerationCall } from '../generate.ts';
import { CLIENT_IP_HEADER, ON_BEHALF_OF_HEADER } from '../mesh-headers.ts';

/** Whom a generation is for, towards the router only, and which trace it belongs to. */
export type ForWhom = Pick<GenerationCall, 'credential' | 'onBehalfOf' | 'clientIp' | 'trace'>;

/** What signatures for callers are made for. */
const METHOD = RouterService.method.generate;

/**
 * Whom a generation is for and its trace, as metadata of a call.
 *
 * @param vouching signs for callers whose credential this process does not hold; undefined: it does not
 * @throws MeshError INTERNAL
 */
export function headersOf(call: ForWhom, vouching: Pick<Vouching, 'sign'> | undefined): Record<string, string> {
  const { credential, onBehalfOf, clientIp } = call;
  const headers: Record<string, string> = { ...call.trace };
  if (credential !== undefined) headers.authorization = `Bearer ${credential}`;
  if (clientIp !== undefined) headers[CLIENT_IP_HEADER] = clientIp;
  if (onBehalfOf) {
    if (!vouching) throw new MeshError('INTERNAL', 'This process cannot sign for a caller.');
    headers[ON_BEHALF_OF_HEADER] = vouching.sign(METHOD, { ...onBehalfOf, clientIp });
  }
  return headers;
}

/**
 * The reverse, on a trunk whose other side is known to be a process of the mesh. Whether the credential is good is for whoever
 * runs the generation.
 *
 * @param vouching verifies signatures; undefined: nobody acts for callers here
 * @throws MeshError PEER_ONLY, CREDENTIAL_INVALID or CREDENTIAL_CONFLICT
 */
export function forWhom(
  headers: Readonly<Record<string, string>>,
  vouching: Pick<Vouching, 'verify'> | undefined,
): ForWhom {
  const lookup = { get: (name: string) => headers[name] };
  const credential = credentialOf(lookup);
  const trace = traceHeadersOf(lookup, tracer().headerNames);
  const signed = headers[ON_BEHALF_OF_HEADER];
  if (signed === undefined) return { credential, clientIp: headers[CLIENT_IP_HEADER], trace };
  if (!vouching) throw new MeshError('PEER_ONLY', 'Nobody may act for a caller here.');
  if (credential !== undefined) {
    throw new MeshError('CREDENTIAL_CONFLICT', `Send either a credential or ${ON_BEHALF_OF_HEADER}.`);
  }
  const onBehalfOf = vouching.verify(METHOD, signed);
  return { onBehalfOf, clientIp: onBehalfOf.clientIp, trace };
}
