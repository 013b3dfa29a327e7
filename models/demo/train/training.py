"""The training loop: phases of rows of one length, gradients summed over slices that fit the processor's caches."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax

import optimizer
from dataset import Tokens
from model import Shape, loss


@dataclass(frozen=True)
class Phase:
    """`steps` updates of `rows` rows of `length` tokens each, `slice_rows` at a time."""

    steps: int
    rows: int
    length: int
    slice_rows: int

    @property
    def tokens(self) -> int:
        return self.steps * self.rows * self.length


@dataclass(frozen=True)
class Report:
    step: int
    tokens: int
    training_loss: float
    seconds: float


_loss = jax.jit(loss, static_argnums=1)


@partial(jax.jit, static_argnums=(0, 1, 2), donate_argnums=(3, 4))
def _update(shape, transformation, slices, parameters, state, tokens, weights):
    def add(total, piece):
        value, gradient = jax.value_and_grad(loss)(parameters, shape, *piece)
        return jax.tree.map(jnp.add, total, (value, gradient)), None

    def cut(array):
        return array.reshape(slices, -1, array.shape[-1])

    zero = (jnp.zeros(()), jax.tree.map(jnp.zeros_like, parameters))
    (value, gradient), _ = jax.lax.scan(add, zero, (cut(tokens), cut(weights)))
    scale = 1 / jnp.sum(weights)
    gradient = jax.tree.map(lambda g: g * scale, gradient)
    updates, state = transformation.update(gradient, state, parameters)
    return optax.apply_updates(parameters, updates), state, value * scale


def train(shape: Shape, parameters: dict, phases: list[Phase], data: Tokens, *, rate: float, decays: bool) -> Iterator[tuple[dict, Report]]:
    """Yields the parameters and a report after every step. Every token of `data` is seen at most once."""
    transformation = optimizer.create(parameters, sum(phase.steps for phase in phases), rate=rate, decays=decays)
    state = transformation.init(parameters)
    start = time.monotonic()
    step = seen = 0
    for phase in phases:
        for _ in range(phase.steps):
            tokens, weights = data.rows(seen, phase.rows, phase.length)
            slices = phase.rows // phase.slice_rows
            parameters, state, value = _update(shape, transformation, slices, parameters, state, tokens, weights)
            step += 1
            seen += phase.rows * phase.length
            yield parameters, Report(step, seen, float(value), time.monotonic() - start)


def held_out_loss(parameters: dict, shape: Shape, data: Tokens, length: int, slice_rows: int = 4) -> float:
    """Mean loss in nats over what the model is to say in `data`."""
    count = (len(data.ids) - 1) // (length * slice_rows)
    total = weight = 0.0
    for i in range(count):
        tokens, weights = data.rows(i * length * slice_rows, slice_rows, length)
        said = (weights == 1.0).astype(np.float32)
        total += float(_loss(parameters, shape, tokens, said))
        weight += float(said.sum())
    return total / weight
