"""Writes the parameters as a GGUF file: matrices as q8_0, norms as f32, the tokenizer and the chat template as metadata."""

import json
from pathlib import Path

import gguf
import jax.numpy as jnp
import numpy as np
from tokenizers import Tokenizer

from model import Shape
from tokenizer import BEGIN, CHAT_TEMPLATE, END_OF_TURN, SPECIAL_TOKENS

NAME = "Inference mesh demo"
# Positions the last phase of the training has seen.
CONTEXT_TOKENS = 1024

_TENSOR_NAMES = {
    "attention_norm": "attn_norm",
    "query": "attn_q",
    "key": "attn_k",
    "value": "attn_v",
    "attention_output": "attn_output",
    "feed_forward_norm": "ffn_norm",
    "gate": "ffn_gate",
    "up": "ffn_up",
    "down": "ffn_down",
}


def write(path: Path, parameters: dict, shape: Shape, tokenizer: Tokenizer) -> None:
    """One file that llama.cpp loads with no further input; a file that is there is replaced at once or not at all."""
    unfinished = path.with_suffix(".new")
    writer = gguf.GGUFWriter(unfinished, "llama")
    _add_shape(writer, shape)
    _add_tokenizer(writer, tokenizer, shape.vocabulary)
    _add_matrix(writer, "token_embd.weight", np.asarray(parameters["embedding"]))
    writer.add_tensor("output_norm.weight", np.asarray(parameters["final_norm"], np.float32))
    for index, layer in enumerate(parameters["layers"]):
        for name, leaf in layer.items():
            tensor = f"blk.{index}.{_TENSOR_NAMES[name]}.weight"
            if leaf.ndim == 1:
                writer.add_tensor(tensor, np.asarray(leaf, np.float32))
            else:
                _add_matrix(writer, tensor, np.asarray(leaf).T)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    unfinished.replace(path)


def read(path: Path, shape: Shape) -> dict:
    """The parameters of a file that `write` has made, as rounded as they are there."""
    tensors = {tensor.name: gguf.dequantize(tensor.data, tensor.tensor_type) for tensor in gguf.GGUFReader(path).tensors}

    def leaf(name: str) -> jnp.ndarray:
        tensor = tensors[f"{name}.weight"]
        return jnp.asarray(tensor.T if tensor.ndim == 2 and name.startswith("blk.") else tensor)

    return {
        "embedding": leaf("token_embd"),
        "final_norm": leaf("output_norm"),
        "layers": [{name: leaf(f"blk.{index}.{tensor}") for name, tensor in _TENSOR_NAMES.items()} for index in range(shape.layers)],
    }


def _add_shape(writer: gguf.GGUFWriter, shape: Shape) -> None:
    writer.add_name(NAME)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    writer.add_context_length(CONTEXT_TOKENS)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.feed_forward)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_rope_dimension_count(shape.head_width)
    writer.add_rope_freq_base(shape.rope_base)
    writer.add_layer_norm_rms_eps(shape.norm_epsilon)
    writer.add_vocab_size(shape.vocabulary)


def _add_tokenizer(writer: gguf.GGUFWriter, tokenizer: Tokenizer, vocabulary: int) -> None:
    tokens = [tokenizer.id_to_token(i) for i in range(vocabulary)]
    special = set(SPECIAL_TOKENS)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.CONTROL if token in special else gguf.TokenType.NORMAL for token in tokens])
    writer.add_token_merges(_merges(tokenizer))
    writer.add_eos_token_id(tokenizer.token_to_id(END_OF_TURN))
    writer.add_bos_token_id(tokenizer.token_to_id(BEGIN))
    writer.add_add_bos_token(True)
    writer.add_chat_template(CHAT_TEMPLATE)


def _merges(tokenizer: Tokenizer) -> list[str]:
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    return [" ".join(merge) for merge in merges]


def _add_matrix(writer: gguf.GGUFWriter, name: str, matrix: np.ndarray) -> None:
    """`matrix` is [output, input]: GGUF's order, and a block of q8_0 lies along the input."""
    quantized = gguf.quantize(np.ascontiguousarray(matrix, np.float32), gguf.GGMLQuantizationType.Q8_0)
    writer.add_tensor(name, quantized, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
