# models/guide/eval.py: runs kith-guide.gguf with a plain numpy forward pass (the oracle for kith's own
# engine) and measures how many held-out questions it answers.
#
#   /usr/bin/python3 eval.py [--model FILE] [--failures] [--reference] [--ask QUESTION]
#
# fact, follow-up, decline: the held-out questions of corpus/*.txt, looked at while the corpus grew.
# blind: eval_blind.tsv, whose failures are counted and never shown, so that nobody tunes to them.
# Exact: the greedy answer equals the fact's answer. Near: token F1 with it of at least 0.8. A question
# to decline counts when the answer says that the guide only knows kith (or one of the declared
# answers). Clean: the answer is some answer of the corpus, letter for letter, if not always the right
# one. --reference writes reference.json.

import argparse
import json
from collections import Counter
from pathlib import Path

import numpy as np

from corpus import capital, normal, read_blind, read_categories, read_facts
from gguf import Reader
from tokenizer import Tokenizer

HERE = Path(__file__).parent
NEAR = 0.8
ANSWER_TOKENS_MAX = 120
REFERENCE_TOKENS_MAX = 40
REFERENCE_CHATS = [
    ["What is kith?"],
    ["Who can see my prompt?"],
    ["How do I invite a friend?", None, "How long is it valid?"],
]


class Model:
    """Dequantised weights, float32 arithmetic, no cache tricks beyond keys and values."""

    def __init__(self, path):
        reader = Reader(path)
        meta = reader.metadata
        self.tensors = reader.tensors
        self.layers = meta["llama.block_count"]
        self.heads = meta["llama.attention.head_count"]
        self.kv_heads = meta["llama.attention.head_count_kv"]
        self.head_dim = meta["llama.rope.dimension_count"]
        self.epsilon = np.float32(meta["llama.attention.layer_norm_rms_epsilon"])
        merges = [m.split(" ") for m in meta["tokenizer.ggml.merges"]]
        self.tokenizer = Tokenizer(merges)
        assert self.tokenizer.tokens == meta["tokenizer.ggml.tokens"]
        self.end = meta["tokenizer.ggml.eos_token_id"]
        half = np.arange(0, self.head_dim, 2) / self.head_dim
        self.rates = meta["llama.rope.freq_base"] ** -half
        self.forget()

    def forget(self):
        self.keys = [None] * self.layers
        self.values = [None] * self.layers

    def norm(self, x, name):
        scale = 1 / np.sqrt((x * x).mean(-1, keepdims=True) + self.epsilon)
        return x * scale * self.tensors[name]

    def rotate(self, x, start):
        angles = np.outer(np.arange(start, start + len(x)), self.rates)[:, None, :]
        cos, sin = np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
        out = np.empty_like(x)
        out[..., 0::2] = x[..., 0::2] * cos - x[..., 1::2] * sin
        out[..., 1::2] = x[..., 0::2] * sin + x[..., 1::2] * cos
        return out

    def attend(self, x, layer):
        """x: [new, width]; appends to this layer's keys and values and looks back over all of them."""
        weight = lambda name: self.tensors[f"blk.{layer}.{name}.weight"].T
        count = len(x)
        old = self.keys[layer]
        start = 0 if old is None else len(old)
        q = self.rotate((x @ weight("attn_q")).reshape(count, self.heads, -1), start)
        k = self.rotate((x @ weight("attn_k")).reshape(count, self.kv_heads, -1), start)
        v = (x @ weight("attn_v")).reshape(count, self.kv_heads, -1)
        if old is not None:
            k = np.concatenate([old, k])
            v = np.concatenate([self.values[layer], v])
        self.keys[layer], self.values[layer] = k, v
        group = self.heads // self.kv_heads
        k, v = np.repeat(k, group, 1), np.repeat(v, group, 1)
        scores = np.einsum("qhd,khd->hqk", q, k) / np.float32(np.sqrt(self.head_dim))
        future = np.arange(len(k))[None, :] > start + np.arange(count)[:, None]
        scores = np.where(future, np.float32(-np.inf), scores)
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        scores /= scores.sum(-1, keepdims=True)
        return np.einsum("hqk,khd->qhd", scores, v).reshape(count, -1) @ weight("attn_output")

    def feed_forward(self, x, layer):
        weight = lambda name: self.tensors[f"blk.{layer}.{name}.weight"].T
        gate = x @ weight("ffn_gate")
        return (gate / (1 + np.exp(-gate)) * (x @ weight("ffn_up"))) @ weight("ffn_down")

    def logits(self, ids):
        """Feeds ids after all that came before; returns the logits after the last one."""
        x = self.tensors["token_embd.weight"][ids]
        for layer in range(self.layers):
            x = x + self.attend(self.norm(x, f"blk.{layer}.attn_norm.weight"), layer)
            x = x + self.feed_forward(self.norm(x, f"blk.{layer}.ffn_norm.weight"), layer)
        return self.norm(x[-1:], "output_norm.weight")[0] @ self.tensors["output.weight"].T

    def greedy(self, prompt, limit):
        self.forget()
        out = []
        ids = list(prompt)
        while len(out) < limit:
            best = int(self.logits(ids).argmax())
            if best == self.end:
                break
            out.append(best)
            ids = [best]
        return out

    def answer(self, turns, limit=ANSWER_TOKENS_MAX):
        """turns: user, assistant, user, ... texts. Returns the prompt's and the answer's ids."""
        roles = ("user", "assistant")
        messages = [{"role": roles[i % 2], "content": t} for i, t in enumerate(turns)]
        prompt = self.tokenizer.encode_chat(messages)
        return prompt, self.greedy(prompt, limit)


def token_f1(left, right):
    left, right = Counter(normal(left).split()), Counter(normal(right).split())
    common = sum((left & right).values())
    if not common:
        return 0.0
    precision, recall = common / sum(left.values()), common / sum(right.values())
    return 2 * precision * recall / (precision + recall)


def cases(facts, categories):
    """Yields (kind, turns, accepted answers)."""
    for fact in facts.values():
        for question in fact.held_out:
            yield "fact", [question], [fact.answer]
        for parent, question in fact.follow_ups[:1]:
            first = facts[parent]
            opening = next(iter(first.questions))[1][0]
            yield "follow-up", [opening, first.answer, capital(question)], [fact.answer]
    declines = [a for c in categories for a in c.answers]
    for category in categories:
        for question in category.held_out:
            yield "decline", [question], declines
    for name, question in read_blind():
        yield "blind", [question], declines if name == "DECLINE" else [facts[name].answer]


def grade(model, show_failures):
    totals, exact, near, clean = Counter(), Counter(), Counter(), Counter()
    facts, categories = read_facts(), read_categories()
    written = {f.answer for f in facts.values()} | {a for c in categories for a in c.answers}
    for kind, turns, accepted in cases(facts, categories):
        _, ids = model.answer(turns)
        text = model.tokenizer.decode(ids)
        best = max(token_f1(text, a) for a in accepted)
        if len(accepted) > 1 and "only know about kith" in text:
            best = max(best, NEAR)
        totals[kind] += 1
        exact[kind] += text in accepted
        near[kind] += best >= NEAR
        clean[kind] += text in written
        if show_failures and best < NEAR and kind != "blind":
            print(f"{kind}: {turns[-1]}\n    got:  {text}\n    want: {accepted[0]}")
    return {
        kind: {
            "questions": totals[kind],
            "exact": exact[kind],
            "near_or_exact": near[kind],
            "clean": clean[kind],
        }
        for kind in totals
    }


def reference(model):
    """The oracle for other engines: prompts as ids, the last position's top logits, greedy output."""
    records = []
    for chat in REFERENCE_CHATS:
        turns = list(chat)
        for i, turn in enumerate(turns):
            if turn is None:
                turns[i] = model.tokenizer.decode(model.answer(turns[:i])[1])
        prompt, ids = model.answer(turns, REFERENCE_TOKENS_MAX)
        model.forget()
        logits = model.logits(prompt)
        top = [int(i) for i in np.argsort(-logits)[:5]]
        records.append(
            {
                "turns": turns,
                "prompt_ids": prompt,
                "top_logits": [{"id": i, "logit": float(logits[i])} for i in top],
                "greedy_ids": ids,
                "greedy_text": model.tokenizer.decode(ids),
            }
        )
    return records


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default=HERE / "kith-guide.gguf")
    parser.add_argument("--failures", action="store_true")
    parser.add_argument("--reference", action="store_true")
    parser.add_argument("--ask", nargs="*", help="user, assistant, user, ... texts")
    options = parser.parse_args()
    model = Model(options.model)
    if options.ask:
        print(model.tokenizer.decode(model.answer(options.ask)[1]))
    elif options.reference:
        text = json.dumps(reference(model), indent=1)
        (HERE / "reference.json").write_text(text + "\n")
    else:
        print(json.dumps(grade(model, options.failures), indent=1))


if __name__ == "__main__":
    main()
