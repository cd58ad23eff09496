#!/usr/bin/env python3
"""One question gives one answer, bit for bit, wherever the layers are computed; and what each machine of the route
was handed is what `kith route` says.

  same_answer.py KITH
"""
import swarm

QUESTIONS = [
    "What does encrypted_pipeline do?",
    "Who can see my prompt?",
    # Several steps of prefill, and characters of several bytes.
    "Gr\u00fc\u00dfe \u2014 \u4f60\u597d! " + "Tell me once more, slowly and from the beginning, how a machine joins. " * 8,
    [{"role": "system", "content": "Answer in one sentence."}, {"role": "user", "content": "What is a shard?"},
     {"role": "assistant", "content": "A piece of a model."}, {"role": "user", "content": "And what is a stage?"}],
]
WAYS = [{"temperature": 0}, {"temperature": 0.8, "seed": 7}, {"temperature": 0.8, "seed": 8, "top_p": 0.9}]


def answers_of(node):
    """Text, pieces (one or more tokens each), counts and reason of every question in every way."""
    seen = []
    for question in QUESTIONS:
        for way in WAYS:
            answer = node.stream(question, **way).rest()
            swarm.check(answer.error is None and answer.ended, f"{node.name}: {way}: {answer.error}")
            seen.append((answer.pieces, answer.usage, answer.finish))
    return seen


def bit_identity(kith):
    """three processes answer as one does, greedy and seeded, streamed and whole"""
    with swarm.Swarm(kith) as group:
        operator, *_ = swarm.boomerang(group)
        alone = group.node("alone", "encrypted_pipeline = true").create("alone")
        alone.run("models", "add", str(swarm.MODEL_FILE), "--name", "guide")
        swarm.until("the single process is ready", alone.answerable)
        several, one = answers_of(operator), answers_of(alone)
        for index, (ours, theirs) in enumerate(zip(several, one)):
            swarm.check(ours == theirs, f"answer {index} differs: {ours} and {theirs}")
        swarm.check(len({str(pieces) for pieces, *_ in several}) > len(QUESTIONS), "control: answers differ by seed")
        whole = operator.ask(QUESTIONS[0])
        swarm.check([whole.text] == ["".join(several[0][0])], "the whole answer is not the streamed one")
        swarm.check(operator.ask_json("route")["hops"] != alone.ask_json("route")["hops"], "control: the routes differ")


CELLS = ("prompt_text", "token_ids", "activations_in", "activations_out", "answer_tokens", "answer_text")
AUTHOR = ("author", "author", "yes", "yes", "author", "author")
MIDDLE = ("only by attack", "only by attack", "yes", "yes", "only by attack", "only by attack")
READS_ANSWER = ("only by attack", "only by attack", "yes", "no", "yes", "yes")


def sights(node):
    """[(short node id or None for the asker, cells)] of the last answered question."""
    return [(None if sight["is_asker"] else sight["node"], tuple(sight[cell] for cell in CELLS))
            for sight in node.ask_json("route")["sights"]]


def expect_route(operator, anna, ben, ben_cells, flags):
    route = operator.ask_json("route")
    got = (route["local_embedding_privacy"], route["encrypted_pipeline"])
    swarm.check(got == flags and not route["planned"], f"the flags in force are {got}")
    rows = sights(operator)
    swarm.check([cells for _, cells in rows[1:]] == [MIDDLE, ben_cells], f"the cells are {rows}")
    for (shown, _), node in zip(rows[1:], (anna, ben)):
        swarm.check(node.status()["node_id"].startswith(shown), f"{shown} is not {node.name}")
    return rows[0]


def modes(kith):
    """S64, S71: the three modes give one answer, and each its own table of who saw what"""
    with swarm.Swarm(kith) as group:
        operator, anna, ben, last = swarm.boomerang(group, "")
        for node in (operator, anna, ben):
            node.keep_port()
        ben.fetch(last, last)
        operator.drop(last, last)
        default = operator.ask(QUESTIONS[0])
        swarm.check(default.status == 200, f"default: {default.error}")
        asker = expect_route(operator, anna, ben, READS_ANSWER, (False, False))
        swarm.check(asker == (None, ("author", "author", "no", "yes", "author", "author")), f"the asker: {asker}")

        # S65: the person at the command line is told too, apart from the answer.
        run = operator.run("run", "guide", QUESTIONS[0], "--temperature", "0", "--max-tokens", "96")
        sentences = operator.ask_json("route", "guide")["sentences"]
        swarm.check(sentences and all(text in run.err for text in sentences), f"kith run does not say who sees what: {run.err}")
        swarm.check(run.out.strip() == default.text.strip(), f"kith run says: {run.out}")

        restart(operator, "local_embedding_privacy = true")
        swarm.check(operator.ask(QUESTIONS[0]).text == default.text, "local_embedding_privacy changes the answer")
        expect_route(operator, anna, ben, READS_ANSWER, (True, False))

        operator.fetch(last, last)
        restart(operator, "encrypted_pipeline = true")
        swarm.check(operator.ask(QUESTIONS[0]).text == default.text, "encrypted_pipeline changes the answer")
        asker = expect_route(operator, anna, ben, MIDDLE, (True, True))
        swarm.check(asker == (None, ("author", "author", "yes", "yes", "author", "author")), f"the asker: {asker}")


def restart(node, inference):
    swarm.check(node.stop() == 0, f"{node.name} did not stop cleanly")
    node.configure(inference)
    node.start()
    swarm.until("the question can be answered again", node.answerable)


if __name__ == "__main__":
    swarm.main(bit_identity, modes)
