#!/usr/bin/env python3
"""bench/pipeline.py KITH [MODEL.gguf]: what splitting costs. Decode speed of one process that holds every shard against
three processes (asker with both ends, two members with half of the middle each), the time a token spends outside the
kernels, and the memory of a node beyond weights and KV cache. All on this machine, in one run, as ratios.

Uses the nodes of tests/e2e/swarm.py. Without MODEL the built-in guide is used; `kith model synth` makes larger ones.
"""
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests/e2e"))
import swarm as e2e  # noqa: E402

ROUNDS = 5
TOKENS = 96
QUESTION = "What is kith and what can it do for a small group of people?"


def decode_speed(node):
    """Tokens per second after the first token, streamed: the median of ROUNDS, each with its own seed."""
    speeds = []
    for seed in range(ROUNDS + 1):  # the first one warms up
        stream = node.stream(QUESTION, max_tokens=TOKENS, temperature=1.5, seed=seed)
        stream.first_piece()
        begin = time.monotonic()
        answer = stream.rest()
        seconds = time.monotonic() - begin
        if answer.error:
            raise e2e.Failure(str(answer.error))
        tokens = answer.usage["completion_tokens"] - 1
        if seed and tokens > 8:
            speeds.append(tokens / seconds)
    return statistics.median(speeds)


def beyond_model(node):
    """Resident bytes beyond weights and KV cache, in MiB."""
    status = node.status()
    other = int(status["weights_bytes"]) + int(status.get("kv_cache_bytes", 0))
    return (int(status["resident_bytes"]) - other) / 2**20


def main(kith, model=None):
    if model:
        e2e.MODEL_FILE = Path(model).resolve()
    with e2e.Swarm(kith) as swarm:
        alone = swarm.node("alone").create()
        alone.run("models", "add", str(e2e.MODEL_FILE), "--name", "guide")
        e2e.until("the model is there", alone.answerable)
        one = decode_speed(alone)
        print(f"one process:                 {one:8.1f} tokens/s, {beyond_model(alone):.0f} MiB beyond weights and KV")
        alone.end()
    with e2e.Swarm(kith) as swarm:
        operator, anna, ben, _ = e2e.boomerang(swarm, "encrypted_pipeline = true")
        three = decode_speed(operator)
        memory = ", ".join(f"{node.name} {beyond_model(node):.0f}" for node in (operator, anna, ben))
        print(f"three processes, boomerang:  {three:8.1f} tokens/s, MiB beyond weights and KV: {memory}")
    print(f"ratio three / one:           {three / one:8.2f}")
    print(f"added per token:             {1e3 / three - 1e3 / one:8.2f} ms (three network hops, sealing, scheduling)")


if __name__ == "__main__":
    main(*sys.argv[1:])
