import { noteGeneration } from '../observability/generation-notes.ts';
import type { Generate } from './generate.ts';

/** The seam with what it learns of a generation noted for the request that it is for; a generation for none passes as it is. */
export function notedGenerate(generate: Generate): Generate {
  return (request, call, sink) => {
    if (!call.facts) return generate(request, call, sink);
    const note = noteGeneration(request, call.facts);
    generate(request, call, {
      event(event) {
        note(event);
        sink.event(event);
      },
      end: () => sink.end(),
      fail(error) {
        if (call.facts) call.facts.reason ??= error.reason;
        sink.fail(error);
      },
    });
  };
}
