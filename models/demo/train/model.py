"""The Llama architecture in JAX, in the exact form that llama.cpp computes for `general.architecture = llama`."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp


@dataclass(frozen=True)
class Shape:
    """Sizes of the model. Every row length is a multiple of 32, the block of q8_0."""

    vocabulary: int = 2048
    width: int = 256
    layers: int = 6
    heads: int = 4
    kv_heads: int = 2
    feed_forward: int = 704
    rope_base: float = 10_000.0
    norm_epsilon: float = 1e-5

    @property
    def head_width(self) -> int:
        return self.width // self.heads


def init(key: jax.Array, shape: Shape) -> dict:
    """Random parameters; matrices are [input, output]."""
    kv_width = shape.kv_heads * shape.head_width
    # What is added to the residual stream starts small, so that its variance does not grow with depth.
    residual_gain = (2 * shape.layers) ** -0.5

    def matrix(key: jax.Array, rows: int, columns: int, gain: float = 1.0) -> jax.Array:
        return jax.random.normal(key, (rows, columns)) * gain * rows**-0.5

    def layer(key: jax.Array) -> dict:
        keys = jax.random.split(key, 7)
        return {
            "attention_norm": jnp.ones(shape.width),
            "query": matrix(keys[0], shape.width, shape.width),
            "key": matrix(keys[1], shape.width, kv_width),
            "value": matrix(keys[2], shape.width, kv_width),
            "attention_output": matrix(keys[3], shape.width, shape.width, residual_gain),
            "feed_forward_norm": jnp.ones(shape.width),
            "gate": matrix(keys[4], shape.width, shape.feed_forward),
            "up": matrix(keys[5], shape.width, shape.feed_forward),
            "down": matrix(keys[6], shape.feed_forward, shape.width, residual_gain),
        }

    embedding_key, *layer_keys = jax.random.split(key, shape.layers + 1)
    return {
        "embedding": jax.random.normal(embedding_key, (shape.vocabulary, shape.width)) * 0.02,
        "final_norm": jnp.ones(shape.width),
        "layers": [layer(key) for key in layer_keys],
    }


def parameter_count(parameters: dict) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(parameters))


def _norm(x: jax.Array, weight: jax.Array, epsilon: float) -> jax.Array:
    return x * jax.lax.rsqrt(jnp.mean(x * x, axis=-1, keepdims=True) + epsilon) * weight


def _rotate(x: jax.Array, base: float) -> jax.Array:
    """Rotary positions over neighbouring pairs (2i, 2i+1), which is llama.cpp's order for this architecture."""
    length, head_width = x.shape[1], x.shape[-1]
    frequencies = base ** (-jnp.arange(0, head_width, 2) / head_width)
    angles = jnp.arange(length)[:, None] * frequencies
    cosine, sine = jnp.cos(angles)[:, None, :], jnp.sin(angles)[:, None, :]
    even, odd = x[..., 0::2], x[..., 1::2]
    return jnp.stack([even * cosine - odd * sine, even * sine + odd * cosine], axis=-1).reshape(x.shape)


def _attention(shape: Shape, layer: dict, x: jax.Array) -> jax.Array:
    batch, length, _ = x.shape
    group = shape.heads // shape.kv_heads

    def heads(matrix: jax.Array, count: int) -> jax.Array:
        return (x @ matrix).reshape(batch, length, count, shape.head_width)

    query = _rotate(heads(layer["query"], shape.heads), shape.rope_base) * shape.head_width**-0.5
    key = _rotate(heads(layer["key"], shape.kv_heads), shape.rope_base).transpose(0, 2, 3, 1)
    value = heads(layer["value"], shape.kv_heads).transpose(0, 2, 1, 3)
    # Query heads that share a key head are stacked along the length: one large product for each key head.
    query = query.transpose(0, 2, 1, 3).reshape(batch, shape.kv_heads, group * length, shape.head_width)
    scores = (query @ key).reshape(batch, shape.kv_heads, group, length, length)
    weights = jax.nn.softmax(jnp.where(jnp.tril(jnp.ones((length, length), bool)), scores, -1e9))
    mixed = weights.reshape(batch, shape.kv_heads, group * length, length) @ value
    mixed = mixed.reshape(batch, shape.heads, length, shape.head_width).transpose(0, 2, 1, 3)
    return mixed.reshape(batch, length, shape.width) @ layer["attention_output"]


def logits(parameters: dict, shape: Shape, tokens: jax.Array) -> jax.Array:
    """[batch, length] token ids to [batch, length, vocabulary]. The embedding is also the output layer."""
    x = parameters["embedding"][tokens]
    for layer in parameters["layers"]:
        x = x + _attention(shape, layer, _norm(x, layer["attention_norm"], shape.norm_epsilon))
        y = _norm(x, layer["feed_forward_norm"], shape.norm_epsilon)
        x = x + (jax.nn.silu(y @ layer["gate"]) * (y @ layer["up"])) @ layer["down"]
    return _norm(x, parameters["final_norm"], shape.norm_epsilon) @ parameters["embedding"].T


def loss(parameters: dict, shape: Shape, tokens: jax.Array, weights: jax.Array) -> jax.Array:
    """Sum of cross entropies in nats. `tokens` is [batch, length + 1]; `weights` [batch, length] weighs each target."""
    predicted = jax.nn.log_softmax(logits(parameters, shape, tokens[:, :-1]))
    chosen = jnp.take_along_axis(predicted, tokens[:, 1:, None], axis=-1)[..., 0]
    return -jnp.sum(chosen * weights)
