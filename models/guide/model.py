# models/guide/model.py: the network that is trained: a small llama (RMSNorm, interleaved RoPE, grouped
# query attention, SwiGLU, separate output head), in PyTorch. Training only; kith has its own engine.

from dataclasses import dataclass

import torch
import torch.nn as nn
import torch.nn.functional as F


@dataclass(frozen=True)
class Config:
    vocab: int = 2048
    width: int = 256
    layers: int = 6
    heads: int = 8
    kv_heads: int = 2
    feed_forward: int = 256
    context: int = 1024
    rope_base: float = 10000.0
    norm_epsilon: float = 1e-5
    dropout: float = 0.1

    @property
    def head_dim(self):
        return self.width // self.heads


class RmsNorm(nn.Module):
    def __init__(self, width, epsilon):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.epsilon = epsilon

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.epsilon) * self.weight


def rope_tables(config):
    half = torch.arange(0, config.head_dim, 2, dtype=torch.float64) / config.head_dim
    angles = torch.outer(torch.arange(config.context, dtype=torch.float64), config.rope_base**-half)
    return angles.cos().float(), angles.sin().float()


def rotate(x, cos, sin):
    """Rotates the pairs (2i, 2i+1) of the last axis: llama.cpp's NORM convention."""
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1).flatten(-2)


class Block(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        kv_width = config.kv_heads * config.head_dim
        self.attn_norm = RmsNorm(config.width, config.norm_epsilon)
        self.attn_q = nn.Linear(config.width, config.width, bias=False)
        self.attn_k = nn.Linear(config.width, kv_width, bias=False)
        self.attn_v = nn.Linear(config.width, kv_width, bias=False)
        self.attn_output = nn.Linear(config.width, config.width, bias=False)
        self.ffn_norm = RmsNorm(config.width, config.norm_epsilon)
        self.ffn_gate = nn.Linear(config.width, config.feed_forward, bias=False)
        self.ffn_up = nn.Linear(config.width, config.feed_forward, bias=False)
        self.ffn_down = nn.Linear(config.feed_forward, config.width, bias=False)
        self.dropout = nn.Dropout(config.dropout)

    @torch.no_grad()
    def start_as_average(self, rows):
        """Attention starts by adding the average of what came before, projected on orthogonal rows."""
        c = self.config
        self.attn_v.weight.copy_(rows)
        group = c.heads // c.kv_heads
        per_head = rows.view(c.kv_heads, c.head_dim, c.width)
        back = per_head.repeat_interleave(group, 0).reshape(c.width, c.width) / group
        self.attn_output.weight.copy_(back.t())

    def attend(self, x, cos, sin, mask):
        c = self.config
        batch, length, _ = x.shape
        q = self.attn_q(x).view(batch, length, c.heads, c.head_dim).transpose(1, 2)
        k = self.attn_k(x).view(batch, length, c.kv_heads, c.head_dim).transpose(1, 2)
        v = self.attn_v(x).view(batch, length, c.kv_heads, c.head_dim).transpose(1, 2)
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        k = k.repeat_interleave(c.heads // c.kv_heads, 1)
        v = v.repeat_interleave(c.heads // c.kv_heads, 1)
        scores = q @ k.transpose(-1, -2) * c.head_dim**-0.5 + mask
        mixed = scores.softmax(-1) @ v
        return self.attn_output(mixed.transpose(1, 2).reshape(batch, length, c.width))

    def forward(self, x, cos, sin, mask):
        x = x + self.attend(self.attn_norm(x), cos, sin, mask)
        h = self.ffn_norm(x)
        return x + self.dropout(self.ffn_down(F.silu(self.ffn_gate(h)) * self.ffn_up(h)))


class Guide(nn.Module):
    """Parameters carry the names that their tensors have in the GGUF file."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.token_embd = nn.Embedding(config.vocab, config.width)
        self.blk = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.output_norm = RmsNorm(config.width, config.norm_epsilon)
        self.output = nn.Linear(config.width, config.vocab, bias=False)
        self.dropout = nn.Dropout(config.dropout)
        self.cos, self.sin = rope_tables(config)
        self.start_weights()

    def start_weights(self):
        nn.init.normal_(self.token_embd.weight, std=0.5)
        nn.init.zeros_(self.output.weight)
        for name, weight in self.blk.named_parameters():
            if weight.dim() == 2:
                nn.init.normal_(weight, std=weight.shape[1] ** -0.5)
            if name.endswith(("ffn_down.weight", "attn_output.weight")):
                nn.init.zeros_(weight)
            if name.endswith("attn_q.weight"):
                nn.init.normal_(weight, std=0.3 * weight.shape[1] ** -0.5)
        # The first blocks together add the whole average, so that the untrained network is a bag of
        # words: train.py starts the embedding for exactly that.
        whole = nn.init.orthogonal_(torch.empty(self.config.width, self.config.width))
        kv_width = self.config.kv_heads * self.config.head_dim
        for block, rows in zip(self.blk, whole.split(kv_width)):
            block.start_as_average(rows)

    def forward(self, ids):
        length = ids.shape[1]
        cos, sin = self.cos[:length], self.sin[:length]
        mask = torch.full((length, length), float("-inf")).triu(1)
        x = self.dropout(self.token_embd(ids))
        for block in self.blk:
            x = block(x, cos, sin, mask)
        return self.output_norm(x)
