#!/usr/bin/env python3
"""What a person gets when something goes away in the middle of an answer, or when a promise cannot be kept.

  failures.py KITH
"""
import swarm

# Goes on for long: whatever the model has to say at this temperature.
LONG = {"temperature": 2, "max_tokens": 800}
QUESTION = "Explain shards, stages and routes, with an example for each."
TRIES = 16  # each with another seed: some answers are short, and a release build writes 600 tokens a second


def begin_long_answer(operator, seed=1):
    """A stream that has begun to arrive."""
    stream = operator.stream(QUESTION, seed=seed, **LONG)
    answer = stream.first_piece()
    swarm.check(answer.pieces and not answer.error, f"the answer did not begin: {answer.error}")
    return stream


def check_lost(error, node, status):
    """One sentence that names the stage, in the given shape."""
    swarm.check(status == 503 and error["type"] == "server_error" and error["code"] == "unavailable",
                f"{status}: {error}")
    swarm.check(f"stage {node}" in error["message"] and "lost" in error["message"] and "ask again" in error["message"],
                f"the sentence is: {error['message']}")


def back(operator, anna, ben):
    """ben serves again, and anna, who hands on to ben, has a session with ben as well."""
    ben.start()
    swarm.until("ben is back", lambda: operator.answerable() and anna.sees(ben))


def killed_while_streaming(operator, anna, ben, ben_id):
    for attempt in range(TRIES):
        stream = begin_long_answer(operator, seed=attempt)
        ben.freeze()
        ben.kill()
        answer = stream.rest()
        back(operator, anna, ben)
        if answer.error:
            break  # otherwise the answer was complete before the signal arrived
    swarm.check(answer.error is not None, "the answer was always faster than the signal")
    check_lost(answer.error, ben_id, 503)
    swarm.check(answer.text != "" and answer.finish is None, "the part that had arrived stays, and nothing follows it")


def frozen_question(operator, anna, ben, ask):
    """Starts `ask` while ben does not run, and returns once the question has reached anna."""
    ben.freeze()
    asked = ask()
    swarm.until("the question has reached anna", lambda: anna.kv_bytes() > 0)
    return asked


def lost_member(kith):
    """a member killed in the middle of an answer: one clear error that names the stage; once it is back, all is well"""
    with swarm.Swarm(kith) as group:
        operator, anna, ben, _ = swarm.boomerang(group)
        for node in (operator, anna, ben):
            node.keep_port()
        ben_id = ben.status()["node_id"][:16]
        before = operator.ask("Who can see my prompt?").text
        killed_while_streaming(operator, anna, ben, ben_id)
        swarm.until("anna has let go of the question", lambda: anna.kv_bytes() == 0)
        swarm.check(operator.ask("Who can see my prompt?").text == before, "the next answer is another one")

        run = frozen_question(operator, anna, ben, lambda: operator.run_in_background("run", "guide", QUESTION))
        ben.kill()
        _, error = run.communicate(timeout=swarm.PATIENCE_SECONDS)
        swarm.check(run.returncode == swarm.TRY_AGAIN, f"kith run ended with {run.returncode}")
        lines = [line for line in error.decode().splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith("kith: ")]  # before it: who sees the question
        swarm.check(len(errors) == 1 and f"stage {ben_id}" in errors[0], f"kith run said: {lines}")

        back(operator, anna, ben)
        connection = frozen_question(operator, anna, ben, lambda: send_whole(operator))
        ben.kill()
        status, error, retry_after = read_error(connection)
        check_lost(error, ben_id, status)
        swarm.check(retry_after is not None, "a client is not told when to try again")
        swarm.check(not operator.answerable(), "a question without a route still counts as answerable")
        refused = operator.ask(QUESTION)
        swarm.check(refused.status == 503 and "nobody connected serves layer" in refused.error["message"],
                    f"without the member: {refused.status} {refused.error}")


def send_whole(operator):
    """A question that is not streamed, sent and not yet answered."""
    import json
    connection = operator.connect()
    connection.request("POST", "/v1/chat/completions", json.dumps(
        {"model": "guide", "messages": [{"role": "user", "content": QUESTION}], "temperature": 0}), {
            "Content-Type": "application/json",
            "Authorization": f"Bearer {(operator.state / 'api.key').read_text().strip()}"})
    return connection


def read_error(connection):
    import json
    response = connection.getresponse()
    error = json.loads(response.read())["error"]
    connection.close()
    return response.status, error, response.getheader("retry-after")


def disconnect(kith):
    """a client that goes away cancels its question: the members' attention caches are given back"""
    with swarm.Swarm(kith) as group:
        operator, anna, ben, _ = swarm.boomerang(group)
        connection = frozen_question(operator, anna, ben, lambda: send_whole(operator))
        connection.close()
        swarm.until("anna has given the memory back", lambda: anna.kv_bytes() == 0)
        ben.thaw()
        swarm.until("ben has none", lambda: ben.kv_bytes() == 0)
        stream = begin_long_answer(operator)
        stream.close()
        for node in (anna, ben):
            swarm.until(f"{node.name} has given the memory back", lambda node=node: node.kv_bytes() == 0)
        swarm.check(operator.ask("Who can see my prompt?").status == 200, "the next question is not answered")
        # A person who presses Ctrl-C at `kith run`.
        run = frozen_question(operator, anna, ben, lambda: operator.run_in_background("run", "guide", QUESTION))
        run.send_signal(2)
        run.communicate(timeout=swarm.PATIENCE_SECONDS)
        swarm.check(run.returncode == 130, f"kith run ended with {run.returncode}")
        swarm.until("anna has given the memory back", lambda: anna.kv_bytes() == 0)
        ben.thaw()


def refusal(kith):
    """S80: encrypted_pipeline without the last shard here is refused, never downgraded, and nothing is sent"""
    with swarm.Swarm(kith) as group:
        operator, anna, ben, last = swarm.boomerang(group)
        ben.fetch(last, last)
        operator.drop(last, last)
        swarm.check(not operator.answerable(), "the model still counts as answerable")
        for answer in (operator.ask(QUESTION), operator.stream(QUESTION).answer):
            swarm.check(answer.status == 403 and answer.error["type"] == "permission_error", f"{answer.status}")
            swarm.check("encrypted_pipeline is on" in answer.error["message"]
                        and "last shard" in answer.error["message"], answer.error["message"])
        run = operator.run("run", "guide", QUESTION, check=False)
        swarm.check(run.code == swarm.NOT_PERMITTED and "last shard" in run.err and not run.out.strip(),
                    f"kith run: {run.code} {run.out} {run.err}")
        swarm.check(anna.kv_bytes() == 0 and ben.kv_bytes() == 0, "a member was asked to compute")
        swarm.check(operator.run("route", check=False).code != 0, "a route was taken")
        operator.fetch(last, last)
        swarm.check(operator.ask(QUESTION).status == 200, "control: with the shard it is answered")
        long = operator.ask("word " * 4000)
        swarm.check(long.status == 400 and long.error["code"] == "context_length_exceeded"
                    and "the model reads" in long.error["message"],
                    f"a conversation that is too long: {long.status} {long.error}")

        whole = operator.run("models", "drop", "guide", check=False)
        swarm.check(whole.code != 0 and "--force" in whole.err, f"the last copy of shard 0 was let go: {whole.err}")
        swarm.check(operator.ask(QUESTION).status == 200, "a refused drop took something away")
        gone = operator.ask_json("models", "drop", "guide", "--force")["model"]
        swarm.check(not gone["shards_local"] and not list((operator.state / "models").glob("*/*")), f"left behind: {gone}")
        swarm.check(operator.ask(QUESTION).status in (403, 404, 503), "a model that is gone still answers")
        operator.fetch(last, last)
        swarm.check(operator.model()["shards_local"] == [last], "what members hold cannot be fetched again")


if __name__ == "__main__":
    swarm.main(lost_member, disconnect, refusal)
