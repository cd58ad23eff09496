# models/guide/train.py: trains kith-guide on the corpus and leaves a checkpoint for export_gguf.py.
#
#   /usr/bin/python3 train.py --out CHECKPOINT [--minutes 40] [--tokens 3000000]
#
# Seeded: the same corpus, token budget, thread count and PyTorch give the same weights. Matrices inside
# the blocks are trained with momentum whose update is orthogonalised (Newton-Schulz), the rest with
# AdamW; the rate falls linearly to zero at the end of the token budget.

import argparse
import json
import random
import time

import torch
import torch.nn.functional as F

from corpus import CORPUS, Conversations, manual_paragraphs, read_categories, read_facts
from model import Config, Guide
from tokenizer import SPECIAL_TOKENS, Tokenizer, train_merges

SEED = 20
QUESTION_WEIGHT = 0.1
MANUAL_WEIGHT = 0.3
BATCH_TOKENS = 3072
POOL_TOKENS = BATCH_TOKENS * 24


def build_tokenizer(config):
    texts = []
    for fact in read_facts().values():
        texts += [fact.answer] * 3 + [q for _, forms in fact.questions for q in forms[:3]]
        texts += [q for _, q in fact.follow_ups]
    for category in read_categories():
        texts += category.answers * 5 + category.frames + category.fillers
    texts += manual_paragraphs() + ["user\nassistant\nsystem\n"] * 9
    texts += Conversations.SYSTEMS * 3
    return Tokenizer(train_merges(texts, config.vocab - 256 - len(SPECIAL_TOKENS)))


def encode_conversation(tokenizer, turns, system):
    """Ids and, for each id, how much predicting it counts."""
    ids, weights = [], []

    def put(new, weight):
        ids.extend(new)
        weights.extend([weight] * len(new))

    start, end = tokenizer.ids["<|im_start|>"], tokenizer.ids["<|im_end|>"]
    newline = tokenizer.encode("\n")
    if system:
        put([start] + tokenizer.encode("system\n" + system) + [end] + newline, 0.0)
    for question, answer in turns:
        put([start] + tokenizer.encode("user\n"), 0.0)
        put(tokenizer.encode(question) + [end], QUESTION_WEIGHT)
        put(newline + [start] + tokenizer.encode("assistant\n"), 0.0)
        put(tokenizer.encode(answer) + [end], 1.0)
        put(newline, 0.0)
    return ids, weights


def encode_paragraph(tokenizer, text):
    end = tokenizer.ids["<|endoftext|>"]
    ids = [end] + tokenizer.encode(text) + [end]
    return ids, [MANUAL_WEIGHT] * len(ids)


def examples(tokenizer):
    source = Conversations(SEED)
    paragraphs = manual_paragraphs()
    rng = random.Random(SEED + 1)
    while True:
        for turns, system in source.epoch():
            yield encode_conversation(tokenizer, turns, system)
            if paragraphs and rng.random() < 0.04:
                yield encode_paragraph(tokenizer, rng.choice(paragraphs))


def batches(tokenizer):
    """Batches of examples of similar length: collect a pool, sort it, cut it, shuffle the cuts."""
    rng = random.Random(SEED + 2)
    stream = examples(tokenizer)
    while True:
        pool, size = [], 0
        while size < POOL_TOKENS:
            pool.append(next(stream))
            size += len(pool[-1][0])
        pool.sort(key=lambda e: len(e[0]))
        cuts, current = [], []
        for example in pool:
            if current and (len(current) + 1) * len(example[0]) > BATCH_TOKENS:
                cuts.append(current)
                current = []
            current.append(example)
        cuts.append(current)
        rng.shuffle(cuts)
        for cut in cuts:
            yield to_tensors(cut)


def to_tensors(cut):
    length = max(len(ids) for ids, _ in cut)
    ids = torch.zeros(len(cut), length, dtype=torch.long)
    weights = torch.zeros(len(cut), length)
    for row, (i, w) in enumerate(cut):
        ids[row, : len(i)] = torch.tensor(i)
        weights[row, : len(w)] = torch.tensor(w)
    return ids, weights


def orthogonalise(update):
    """Newton-Schulz: pushes all singular values of the matrix toward one."""
    x = update / (update.norm() + 1e-7)
    tall = x.shape[0] > x.shape[1]
    x = x.t() if tall else x
    for _ in range(5):
        gram = x @ x.t()
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return x.t() if tall else x


class MatrixMomentum:
    """Momentum with orthogonalised updates, for the matrices inside the blocks."""

    def __init__(self, weights, momentum=0.95):
        self.weights = list(weights)
        self.momentum = momentum
        self.velocity = [torch.zeros_like(w) for w in self.weights]

    @torch.no_grad()
    def step(self, rate, decay):
        for weight, velocity in zip(self.weights, self.velocity):
            velocity.mul_(self.momentum).add_(weight.grad)
            update = orthogonalise(weight.grad + self.momentum * velocity)
            scale = max(1.0, weight.shape[0] / weight.shape[1]) ** 0.5
            weight.mul_(1 - rate * decay).add_(update, alpha=-rate * scale)
            weight.grad = None


def loss_of(model, ids, weights):
    """Weighted mean over the counted positions; the head runs on those positions only."""
    target_weights = weights[:, 1:].reshape(-1)
    counted = target_weights.nonzero().squeeze(1)
    hidden = model(ids[:, :-1]).reshape(-1, model.config.width)[counted]
    loss = F.cross_entropy(model.output(hidden), ids[:, 1:].reshape(-1)[counted], reduction="none")
    return (loss * target_weights[counted]).sum() / target_weights.sum()


def rate_at(progress):
    warm, fall_from = 0.02, 0.35
    if progress < warm:
        return progress / warm
    return min(1.0, (1 - progress) / (1 - fall_from))


def train(model, source, limits, log):
    matrices = [w for w in model.blk.parameters() if w.dim() == 2]
    inside = {id(w) for w in matrices}
    rest = [w for w in model.parameters() if id(w) not in inside]
    adam = torch.optim.AdamW(rest, lr=1.0, betas=(0.9, 0.98), weight_decay=0.0)
    muon = MatrixMomentum(matrices)
    seen, step, started, recent = 0, 0, time.time(), []
    while seen < limits.tokens:
        progress = seen / limits.tokens
        if limits.minutes:
            progress = max(progress, (time.time() - started) / 60 / limits.minutes)
        if progress >= 1:
            break
        ids, weights = next(source)
        loss = loss_of(model, ids, weights)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        rate = rate_at(progress)
        muon.step(0.02 * rate, 0.02)
        for group in adam.param_groups:
            group["lr"] = 3e-3 * rate
        adam.step()
        adam.zero_grad()
        seen += ids.numel()
        step += 1
        recent = (recent + [loss.item()])[-20:]
        if step % 20 == 0:
            speed = seen / (time.time() - started)
            log(f"step {step} tokens {seen} loss {sum(recent) / len(recent):.4f} {speed:.0f} tok/s")
    return {"tokens": seen, "steps": step, "seconds": round(time.time() - started)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", required=True)
    parser.add_argument("--minutes", type=float, help="also stop (and anneal) by the clock")
    parser.add_argument("--tokens", type=int, default=3_000_000)
    parser.add_argument("--threads", type=int, default=2)
    limits = parser.parse_args()
    torch.manual_seed(SEED)
    torch.set_num_threads(limits.threads)
    config = Config()
    tokenizer = build_tokenizer(config)
    config = Config(vocab=len(tokenizer.tokens))
    model = Guide(config)
    count = sum(w.numel() for w in model.parameters())
    print(f"{count} parameters, {len(tokenizer.tokens)} tokens, corpus {CORPUS}", flush=True)
    result = train(model, batches(tokenizer), limits, lambda line: print(line, flush=True))
    print(json.dumps(result), flush=True)
    weights = {name: w.detach() for name, w in model.named_parameters()}
    saved = {"weights": weights, "merges": tokenizer.merges, "config": config, "result": result}
    torch.save(saved, limits.out)


if __name__ == "__main__":
    main()
