import { Counter, Histogram, type Registry } from 'prom-client';
import type { HttpObserver } from './http-observer.ts';

/** Bounds of durations of whole requests, in seconds: generations take minutes. */
const DURATION_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 60, 120, 300];

/** Bounds of our own share, in seconds. */
const OVERHEAD_BUCKETS = [0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 1];

/** Methods that are told by name; a caller may send any word. */
const METHODS = new Set(['GET', 'HEAD', 'POST', 'DELETE', 'OPTIONS', 'PUT', 'PATCH']);

/** What is counted of REST. */
export interface HttpMetrics extends HttpObserver {
  /** What of the time to an answer was ours, in milliseconds. */
  overhead(overheadMs: number): void;
}

/** Declares the metrics of the HTTP side. */
export function createHttpMetrics(registry: Registry): HttpMetrics {
  const registers = [registry];
  const requests = new Counter({
    name: 'api_requests_total',
    help: 'HTTP requests by route template, method and status; 499: the caller left before an answer began.',
    labelNames: ['endpoint', 'method', 'status'],
    registers,
  });
  const duration = new Histogram({
    name: 'api_request_duration_seconds',
    help: 'From the headers of an HTTP request to the last byte of its answer, streams included.',
    buckets: DURATION_BUCKETS,
    registers,
  });
  const overhead = new Histogram({
    name: 'mesh_overhead_seconds',
    help: "Our share of the time to an answer, of a stream to its first token: less the wait for an engine and the engine's own time. As the header x-mesh-overhead-ms.",
    buckets: OVERHEAD_BUCKETS,
    registers,
  });
  return {
    answered({ request: { method }, template = 'none', status, durationMs }) {
      requests.inc({ endpoint: template, method: METHODS.has(method) ? method : 'other', status });
      duration.observe(durationMs / 1_000);
    },
    overhead: (overheadMs) => overhead.observe(overheadMs / 1_000),
  };
}
