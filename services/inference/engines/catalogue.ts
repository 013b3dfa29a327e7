import type { EngineAdapter } from './engine.ts';
import { llamaCppEngine } from './llama-cpp.ts';
import { llamaServerEngine } from './llama-server.ts';
import type { ModelEntry } from './model-entry.ts';
import { ollamaEngine } from './ollama.ts';
import { openAiEngine } from './openai.ts';
import { tgiEngine } from './tgi.ts';
import { transformersEngine } from './transformers.ts';
import { vllmEngine } from './vllm.ts';

/** The adapter for a configured entry. A new kind of engine is one file here and one line below. */
export function engineFor(entry: ModelEntry): EngineAdapter {
  switch (entry.engine) {
    case 'openai':
      return openAiEngine(entry);
    case 'llama.cpp':
      return llamaCppEngine(entry);
    case 'vllm':
      return vllmEngine(entry);
    case 'tgi':
      return tgiEngine(entry);
    case 'llama-server':
      return llamaServerEngine(entry);
    case 'transformers':
      return transformersEngine(entry);
    case 'ollama':
      return ollamaEngine(entry);
  }
}
