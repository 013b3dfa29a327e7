import type { Client } from '@connectrpc/connect';
import type { Principal } from '../../gen/mesh/auth/v1/principal_pb.ts';
import { type GenerateRequest, ModelRole } from '../../gen/mesh/generation/v1/generate_request_pb.ts';
import type { Model, RouterService } from '../../gen/mesh/router/v1/router_service_pb.ts';
import { MeshError } from '../shared/errors/mesh-error.ts';
import { isGranted } from '../shared/interceptors/principal.ts';

/** A model that a task asks for. */
export type NamedModel = Pick<Model, 'id' | 'names'>;

/** How long an answer of the router is good for, in milliseconds. */
const FRESH_MS = 1_000;

/** How long the router has to answer, in milliseconds; a submission does without it. */
const TIMEOUT_MS = 500;

/** Tells which models there are, so that a task for one that is not there is refused when it is submitted. */
export class KnownModels {
  readonly #router: Client<typeof RouterService>;
  #asked: { models: Promise<readonly Model[] | undefined>; atMs: number } | undefined;

  constructor(router: Client<typeof RouterService>) {
    this.#router = router;
  }

  /**
   * The model of a name; undefined where the router does not tell: then the run finds out.
   *
   * @throws MeshError MODEL_NOT_FOUND or MODEL_NOT_GRANTED.
   */
  async find(
    { model: name, modelRole }: Pick<GenerateRequest, 'model' | 'modelRole'>,
    principal: Principal,
  ): Promise<NamedModel | undefined> {
    // Which one stands for a role the router does not list.
    if (name === '' && modelRole !== ModelRole.UNSPECIFIED) return undefined;
    const models = await this.#models();
    if (!models || models.length === 0) return undefined;
    const model = models.find(({ id, names, isDefault }) =>
      name === '' ? isDefault : id === name || names.includes(name),
    );
    if (!model) {
      const which = name === '' ? 'default model' : `model '${name}'`;
      throw new MeshError('MODEL_NOT_FOUND', `There is no ${which}. GET /v1/models lists what there is.`, {
        metadata: { model: name },
      });
    }
    if (!isGranted(principal, model)) {
      const which = name === '' ? 'the default model' : `the model '${name}'`;
      throw new MeshError('MODEL_NOT_GRANTED', `This credential may not use ${which}.`, {
        metadata: { model: name },
      });
    }
    return model;
  }

  #models(): Promise<readonly Model[] | undefined> {
    const nowMs = performance.now();
    if (!this.#asked || nowMs - this.#asked.atMs > FRESH_MS) {
      const models = this.#router.listModels({}, { timeoutMs: TIMEOUT_MS }).then(
        (answer) => answer.models,
        // Whoever submits must not depend on engines being there.
        () => undefined,
      );
      this.#asked = { models, atMs: nowMs };
    }
    return this.#asked.models;
  }
}
