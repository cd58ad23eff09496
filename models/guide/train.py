# models/guide/train.py: trains kith-guide on the corpus and leaves a checkpoint for export_gguf.py.
#
#   /usr/bin/python3 train.py --out CHECKPOINT [--steps N]
#
# The same corpus, steps and libraries give the same bytes: all seeds are fixed, nothing looks at the
# clock, and the kernels are pinned to those that every processor with AVX2 has. Two processes with one
# thread each have their own stream of conversations; gradients are averaged after each step.
#
# What makes so small a training work: the hard part is to recognise what is asked, so (1) the network
# starts as a bag of words and its embedding is first trained to name the fact from that, which takes a
# minute, (2) a head that names the fact is trained beside the language model and thrown away afterwards,
# (3) the first tokens of an answer count more, (4) most last answers are cut after a few tokens, which
# leaves time for more questions. Matrices inside the blocks are trained with momentum whose update is orthogonalised
# (Newton-Schulz), the rest with AdamW; the rate falls linearly to zero.

import argparse
import os
import random
import tempfile

# Before torch is loaded: which kernels run decides how sums are rounded.
os.environ["OPENBLAS_CORETYPE"] = "Haswell"
os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["ATEN_CPU_CAPABILITY"] = "avx2"

import torch
import torch.distributed as dist
import torch.multiprocessing as processes
import torch.nn as nn
import torch.nn.functional as F

from corpus import DECLINE_SHARE, Conversations, read_categories, read_facts
from model import Config, Guide
from tokenizer import SPECIAL_TOKENS, Tokenizer, train_merges

SEED = 20
WORKERS = 2
STEPS = 1800
# Large steps forget the good start and have to learn it again; small ones never learn to recite.
MATRIX_RATE, EMBEDDING_RATE, OUTPUT_RATE = 1e-2, 1e-3, 4e-3
QUESTION_WEIGHT = 0.05
OPENING_TOKENS, OPENING_WEIGHT = 5, 3.0
CUT_SHARE, CUT_TOKENS = 0.6, 9
LOOSE_SHARE, LOOSE_SKIP = 0.25, 0.1
INTENT_WEIGHT = 1.0
BAG_STEPS, BAG_BATCH = 2000, 128
BATCH_TOKENS = 1280
POOL_TOKENS = BATCH_TOKENS * 24


def build_tokenizer(config):
    texts = []
    for fact in read_facts().values():
        texts += [fact.answer] * 3 + [q for _, forms in fact.questions for q in forms[:3]]
        texts += [q for _, q in fact.follow_ups]
    for category in read_categories():
        texts += category.answers * 5 + category.frames + category.fillers
    texts += ["user\nassistant\nsystem\n"] * 9
    texts += Conversations.SYSTEMS * 3
    return Tokenizer(train_merges(texts, config.vocab - 256 - len(SPECIAL_TOKENS)))


def answer_classes():
    answers = [f.answer for f in read_facts().values()]
    classes = {answer: i for i, answer in enumerate(answers)}
    for category in read_categories():
        number = max(classes.values()) + 1
        classes.update({answer: number for answer in category.answers})
    return classes


def train_embedding(tokenizer, model, intent_head):
    """Starts the embedding and the intent head so that the untrained network, whose attention adds the
    average of all tokens to the last one (model.py), already names the fact."""
    source, classes = Conversations(SEED), answer_classes()
    rng = random.Random(SEED)
    facts = list(source.facts.values())
    weights = [model.token_embd.weight, intent_head.weight, intent_head.bias]
    adam = torch.optim.Adam(weights, lr=1.0)
    norm = model.output_norm
    for step in range(BAG_STEPS):
        adam.param_groups[0]["lr"] = 6e-3 * (1 - step / BAG_STEPS)
        bags, targets = [], []
        for _ in range(BAG_BATCH):
            if rng.random() < DECLINE_SHARE:
                question, answer = source.decline()
            else:
                fact = rng.choice(facts)
                question, answer = source.fact_question(fact), fact.answer
            ids = tokenizer.encode_chat([{"role": "user", "content": question}])
            bags.append([i for i in ids[:-1] if rng.random() > 0.2] + ids[-1:])
            targets.append(classes[answer])
        starts = torch.tensor([0] + [len(bag) for bag in bags[:-1]]).cumsum(0)
        flat = torch.tensor([i for bag in bags for i in bag])
        mean = F.embedding_bag(flat, norm(model.token_embd.weight), starts, mode="mean")
        last = model.token_embd.weight[ids[-1]]
        loss = F.cross_entropy(intent_head(norm(last + mean)), torch.tensor(targets))
        adam.zero_grad()
        loss.backward()
        adam.step()
    print(f"bag of tokens: loss {loss.item():.3f}", flush=True)
    model.zero_grad(set_to_none=True)
    intent_head.zero_grad(set_to_none=True)


class Encoder:
    """Turns conversations into (ids, weight of predicting each id, class asked for at each id or -1)."""

    def __init__(self, tokenizer, seed):
        self.tokenizer = tokenizer
        self.classes = answer_classes()
        self.rng = random.Random(seed)
        self.start, self.end = tokenizer.ids["<|im_start|>"], tokenizer.ids["<|im_end|>"]
        self.newline = tokenizer.encode("\n")

    def question(self, text):
        if self.rng.random() < LOOSE_SHARE:
            return self.tokenizer.encode_loosely(text, self.rng, LOOSE_SKIP)
        return self.tokenizer.encode(text)

    def conversation(self, turns, system):
        encode, parts = self.tokenizer.encode, []
        if system:
            ids = [self.start] + encode("system\n" + system) + [self.end] + self.newline
            parts.append((ids, 0.0))
        intents = {}
        for number, (question, answer) in enumerate(turns):
            parts.append(([self.start] + encode("user\n"), 0.0))
            parts.append((self.question(question) + [self.end], QUESTION_WEIGHT))
            parts.append((self.newline + [self.start] + encode("assistant\n"), 0.0))
            intents[sum(len(ids) for ids, _ in parts) - 1] = self.classes.get(answer, -1)
            ids = encode(answer) + [self.end]
            parts.append((ids[:OPENING_TOKENS], OPENING_WEIGHT))
            if number + 1 == len(turns) and self.rng.random() < CUT_SHARE:
                parts.append((ids[OPENING_TOKENS:CUT_TOKENS], 1.0))
            else:
                parts.append((ids[OPENING_TOKENS:], 1.0))
                parts.append((self.newline, 0.0))
        ids = [i for part, _ in parts for i in part]
        weights = [weight for part, weight in parts for _ in part]
        return ids, weights, [intents.get(i, -1) for i in range(len(ids))]


def examples(tokenizer, seed):
    source = Conversations(seed)
    encoder = Encoder(tokenizer, seed + 1)
    while True:
        for turns, system in source.epoch():
            yield encoder.conversation(turns, system)


def batches(tokenizer, seed):
    """Batches of examples of similar length: collect a pool, sort it, cut it, shuffle the cuts."""
    rng = random.Random(seed + 3)
    stream = examples(tokenizer, seed)
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
    length = max(len(ids) for ids, _, _ in cut)
    ids = torch.zeros(len(cut), length, dtype=torch.long)
    weights = torch.zeros(len(cut), length)
    intents = torch.full((len(cut), length), -1, dtype=torch.long)
    for row, (i, w, c) in enumerate(cut):
        ids[row, : len(i)] = torch.tensor(i)
        weights[row, : len(w)] = torch.tensor(w)
        intents[row, : len(c)] = torch.tensor(c)
    return ids, weights, intents


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
    """Momentum with orthogonalised updates, for the blocks' matrices; workers share the work."""

    def __init__(self, weights, rank, momentum=0.95):
        self.weights, self.rank = list(weights), rank
        self.momentum = momentum
        self.velocity = [torch.zeros_like(w) for w in self.weights]

    @torch.no_grad()
    def step(self, rate, decay):
        updates = [torch.zeros_like(w) for w in self.weights]
        for i, (weight, velocity) in enumerate(zip(self.weights, self.velocity)):
            velocity.mul_(self.momentum).add_(weight.grad)
            if i % WORKERS == self.rank:
                updates[i] = orthogonalise(weight.grad + self.momentum * velocity)
            weight.grad = None
        add_over_workers(updates)
        for weight, update in zip(self.weights, updates):
            scale = max(1.0, weight.shape[0] / weight.shape[1]) ** 0.5
            weight.mul_(1 - rate * decay).add_(update, alpha=-rate * scale)


@torch.no_grad()
def add_over_workers(tensors):
    flat = torch.cat([t.reshape(-1) for t in tensors])
    dist.all_reduce(flat)
    for tensor, part in zip(tensors, flat.split([t.numel() for t in tensors])):
        tensor.copy_(part.view_as(tensor))


def loss_of(model, intent_head, batch):
    """Weighted mean over the counted positions; the heads run on those positions only."""
    ids, weights, intents = batch
    hidden = model(ids[:, :-1]).reshape(-1, model.config.width)
    target_weights = weights[:, 1:].reshape(-1)
    counted = target_weights.nonzero().squeeze(1)
    logits = model.output(hidden[counted])
    loss = F.cross_entropy(logits, ids[:, 1:].reshape(-1)[counted], reduction="none")
    loss = (loss * target_weights[counted]).sum() / target_weights.sum()
    asked = intents[:, :-1].reshape(-1)
    known = (asked >= 0).nonzero().squeeze(1)
    intent_logits = intent_head(hidden[known])
    intent_loss = F.cross_entropy(intent_logits, asked[known])
    right = (intent_logits.argmax(1) == asked[known]).float().mean().item()
    return loss + INTENT_WEIGHT * intent_loss, loss.item(), right


def rate_at(progress):
    warm, fall_from = 0.03, 0.3
    if progress < warm:
        return progress / warm
    return min(1.0, (1 - progress) / (1 - fall_from))


def train(model, intent_head, source, steps, rank):
    matrices = [w for w in model.blk.parameters() if w.dim() == 2]
    started = [model.token_embd.weight] + list(intent_head.parameters())
    known = {id(w) for w in matrices + started}
    others = [w for w in model.parameters() if id(w) not in known]
    rest = started + others
    rates = [EMBEDDING_RATE, OUTPUT_RATE]
    groups = [{"params": started}, {"params": others}]
    adam = torch.optim.AdamW(groups, lr=1.0, betas=(0.9, 0.98), weight_decay=0.0)
    momentum = MatrixMomentum(matrices, rank)
    seen, recent = 0, []
    for step in range(1, steps + 1):
        batch = next(source)
        loss, language_loss, right = loss_of(model, intent_head, batch)
        (loss / WORKERS).backward()
        add_over_workers([w.grad for w in matrices + rest])
        torch.nn.utils.clip_grad_norm_(matrices + rest, 1.0)
        rate = rate_at(step / steps)
        momentum.step(MATRIX_RATE * rate, 0.02)
        for group, share in zip(adam.param_groups, rates):
            group["lr"] = share * rate
        adam.step()
        adam.zero_grad()
        seen += batch[0].numel() * WORKERS
        recent = (recent + [(language_loss, right)])[-25:]
        if step % 25 == 0 and rank == 0:
            means = [sum(x) / len(recent) for x in zip(*recent)]
            counts = f"step {step} tokens about {seen}"
            print(f"{counts} loss {means[0]:.4f} right {means[1]:.3f}", flush=True)


def work(rank, steps, out, meeting_file):
    torch.set_num_threads(1)
    meeting = f"file://{meeting_file}"
    dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=WORKERS)
    tokenizer = build_tokenizer(Config())
    config = Config(vocab=len(tokenizer.tokens))
    torch.manual_seed(SEED)
    model = Guide(config)
    intent_head = nn.Linear(config.width, max(answer_classes().values()) + 1)
    train_embedding(tokenizer, model, intent_head)
    torch.manual_seed(SEED + rank)  # from here on workers differ: dropout
    train(model, intent_head, batches(tokenizer, SEED + 100 * rank), steps, rank)
    if rank == 0:
        weights = {name: w.detach() for name, w in model.named_parameters()}
        torch.save({"weights": weights, "merges": tokenizer.merges, "config": config}, out)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", required=True)
    parser.add_argument("--steps", type=int, default=STEPS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        processes.spawn(work, (options.steps, options.out, folder + "/meeting"), WORKERS)


if __name__ == "__main__":
    main()
