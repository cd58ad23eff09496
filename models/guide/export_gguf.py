# models/guide/export_gguf.py: writes a checkpoint of train.py as kith-guide.gguf.
#
#   /usr/bin/python3 export_gguf.py CHECKPOINT [OUTPUT]
#
# Matrices become Q8_0, norms stay F32; the output head is stored apart from the embedding, so that the
# first and the last shard of a cut model are each complete.

import sys
from pathlib import Path

import torch

import gguf
from tokenizer import SPECIAL_TOKENS, Tokenizer

HERE = Path(__file__).parent
TOKEN_NORMAL, TOKEN_CONTROL = 1, 3
FILE_TYPE_MOSTLY_Q8_0 = 7
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def general_metadata():
    return [
        ("general.architecture", gguf.STRING, "llama"),
        ("general.type", gguf.STRING, "model"),
        ("general.name", gguf.STRING, "kith-guide"),
        ("general.description", gguf.STRING, "Answers questions about kith, from its own manual."),
        ("general.license", gguf.STRING, "apache-2.0"),
        ("general.alignment", gguf.UINT32, gguf.ALIGNMENT),
        ("general.file_type", gguf.UINT32, FILE_TYPE_MOSTLY_Q8_0),
        ("general.quantization_version", gguf.UINT32, 2),
    ]


def shape_metadata(config):
    return [
        ("llama.block_count", gguf.UINT32, config.layers),
        ("llama.context_length", gguf.UINT32, config.context),
        ("llama.embedding_length", gguf.UINT32, config.width),
        ("llama.feed_forward_length", gguf.UINT32, config.feed_forward),
        ("llama.attention.head_count", gguf.UINT32, config.heads),
        ("llama.attention.head_count_kv", gguf.UINT32, config.kv_heads),
        ("llama.attention.layer_norm_rms_epsilon", gguf.FLOAT32, config.norm_epsilon),
        ("llama.rope.dimension_count", gguf.UINT32, config.head_dim),
        ("llama.rope.freq_base", gguf.FLOAT32, config.rope_base),
        ("llama.vocab_size", gguf.UINT32, config.vocab),
    ]


def tokenizer_metadata(tokenizer):
    types = [TOKEN_CONTROL if t in SPECIAL_TOKENS else TOKEN_NORMAL for t in tokenizer.tokens]
    merges = [f"{a} {b}" for a, b in tokenizer.merges]
    return [
        ("tokenizer.ggml.model", gguf.STRING, "gpt2"),
        ("tokenizer.ggml.pre", gguf.STRING, "qwen2"),
        ("tokenizer.ggml.tokens", gguf.ARRAY, (gguf.STRING, tokenizer.tokens)),
        ("tokenizer.ggml.token_type", gguf.ARRAY, (gguf.INT32, types)),
        ("tokenizer.ggml.merges", gguf.ARRAY, (gguf.STRING, merges)),
        ("tokenizer.ggml.bos_token_id", gguf.UINT32, tokenizer.ids["<|endoftext|>"]),
        ("tokenizer.ggml.eos_token_id", gguf.UINT32, tokenizer.ids["<|im_end|>"]),
        ("tokenizer.ggml.padding_token_id", gguf.UINT32, tokenizer.ids["<|endoftext|>"]),
        ("tokenizer.ggml.add_bos_token", gguf.BOOL, False),
        ("tokenizer.chat_template", gguf.STRING, CHAT_TEMPLATE),
    ]


def main():
    saved = torch.load(sys.argv[1])
    target = sys.argv[2] if len(sys.argv) > 2 else HERE / "kith-guide.gguf"
    metadata = general_metadata() + shape_metadata(saved["config"])
    metadata += tokenizer_metadata(Tokenizer(saved["merges"]))
    tensors = [(name, weight.numpy()) for name, weight in saved["weights"].items()]
    gguf.write(target, metadata, tensors)
    print(f"{target}: {Path(target).stat().st_size} bytes, {len(tensors)} tensors")


if __name__ == "__main__":
    main()
