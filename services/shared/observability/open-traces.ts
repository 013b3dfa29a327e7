import { DiagLogLevel, diag } from '@opentelemetry/api';
import {
  defaultResource,
  envDetector,
  hostDetector,
  resourceFromAttributes,
  serviceInstanceIdDetector,
} from '@opentelemetry/resources';
import { NodeSDK } from '@opentelemetry/sdk-node';
import type { Logger } from 'pino';
import { createDiagLogger } from './diag-log.ts';
import { createOtelTracer } from './otel-tracer.ts';
import { setTracer } from './tracer.ts';

/** Who records. */
export interface TraceSource {
  /** The name of the process in traces, where the environment says none. */
  readonly serviceName: string;
  readonly version: string;
  /** Whether spans may hold what people write and are answered. */
  readonly recordsContent: boolean;
  readonly log: Logger;
}

/** How long a collector that does not answer may hold up the end of the process, in milliseconds. */
const FLUSH_MS = 3_000;

/**
 * Records traces from now on, as the OTEL_* variables of the process say; they go by OTLP unless those say otherwise. Returns what
 * sends the rest and ends it; never rejects.
 */
export function openTraces({ serviceName, version, recordsContent, log }: TraceSource): () => Promise<void> {
  const sdk = new NodeSDK({
    resource: defaultResource().merge(
      resourceFromAttributes({
        'service.namespace': 'inference-mesh',
        'service.name': serviceName,
        'service.version': version,
      }),
    ),
    // What else the SDK would find by itself is the command line and the paths of this machine.
    resourceDetectors: [serviceInstanceIdDetector, hostDetector, envDetector],
    // Only traces leave this way; an OTLP endpoint is no wish for the SDK's own logs and metrics.
    metricReaders: [],
    logRecordProcessors: [],
  });
  diag.setLogger(createDiagLogger(log), { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true });
  sdk.start();
  const restore = setTracer(createOtelTracer(version, recordsContent));
  return async () => {
    restore();
    const late = Promise.withResolvers<void>();
    const timer = setTimeout(late.resolve, FLUSH_MS);
    await Promise.race([sdk.shutdown().catch(() => {}), late.promise]);
    clearTimeout(timer);
  };
}
