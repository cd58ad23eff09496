#!/usr/bin/env python3
"""The life of a membership: invites that are used, spent, revoked and expired; nodes that are restarted.

  membership.py KITH
"""
import stat

import swarm


def expect_refused(node, token, code, *words):
    done = node.join(token, check=False)
    swarm.check(done.code == code, f"{node.name}: kith join ended with {done.code} instead of {code}: {done.err}")
    lines = [line for line in done.err.splitlines() if line.startswith("kith: ")]
    swarm.check(len(lines) == 1 and all(word in lines[0] for word in words), f"{words} are not in {lines}")
    swarm.check(token not in done.out + done.err, "the token is printed")
    swarm.check(not (node.state / "swarm.key").exists(), f"{node.name} has the swarm's secret")


def status_of(operator, invite_id):
    for invite in operator.ask_json("invite", "list")["invites"]:
        if invite["invite_id"] == invite_id:
            return invite["status"]
    return None


def invites(kith):
    """P2, P16: invites are used, spent, revoked and expired, and each refusal says what it is"""
    with swarm.Swarm(kith) as group:
        operator = group.node("operator").create()
        anna, ben = group.node("anna"), group.node("ben")
        first = operator.ask_json("invite", "create", "--note", "for anna")
        swarm.check(first["max_uses"] == 1 and any("see prompts" in text for text in first["warnings"]), f"{first}")
        anna.join(first["token"])
        swarm.check(status_of(operator, first["invite_id"]) == "spent", "one use does not spend an invite for one")
        expect_refused(ben, first["token"], 1, "used up", "ask for a new invite")
        anna.start()
        again = anna.join(operator.token(), check=False)
        swarm.check(again.code == 1 and "member of that swarm already" in again.err, f"joining twice: {again.err}")

        second = operator.ask_json("invite", "create")
        short = operator.run("invite", "revoke", second["invite_id"][:7], check=False)
        swarm.check(short.code == 2 and "at least 8 characters" in short.err, f"7 characters: {short.err}")
        operator.run("invite", "revoke", second["invite_id"][:8])
        swarm.check(status_of(operator, second["invite_id"]) == "revoked", "the list does not say so")
        expect_refused(ben, second["token"], 1, "revoked")
        unknown = operator.run("invite", "revoke", "0" * 16, check=False)
        swarm.check(unknown.code == 1 and "no such invite" in unknown.err, f"an unknown one: {unknown.err}")

        third = operator.ask_json("invite", "create", "--expires-hours", "0.0005")  # 1.8 seconds
        swarm.until("the invite has expired", lambda: status_of(operator, third["invite_id"]) == "expired")
        expect_refused(ben, third["token"], swarm.TRY_AGAIN, "expired", "ask for a new one")

        cut = operator.token()
        expect_refused(ben, cut[:-3], 1, "damaged")
        others = anna.run("invite", "create", check=False)
        swarm.check(others.code == swarm.NOT_PERMITTED, f"a member invites: {others.code} {others.err}")
        ben.join(operator.token("--max-uses", "2"))
        ben.start()
        swarm.until("everybody sees everybody", lambda: operator.sees(anna, ben) and anna.sees(ben))


def facts(node):
    status, model = node.status(), node.model()
    return ((status["address"], status["node_id"], status["peer_id"]),
            (status["swarm"]["swarm_id"], status["swarm"]["members_count"], status["swarm"]["operator_address"]),
            (model["id"], model["shards_local"]))


def restarts(kith):
    """P6: after every node was restarted, identities, membership, models and peers are as before, without a new join"""
    with swarm.Swarm(kith) as group:
        operator, anna, ben, _ = swarm.boomerang(group)
        nodes = (operator, anna, ben)
        for node in nodes:
            node.keep_port()
        operator.configure("encrypted_pipeline = true")
        text = operator.ask("What is a shard?").text
        before = [facts(node) for node in nodes]
        versions = [int(node.status()["swarm"]["list_version"]) for node in nodes]
        keys = [(node.state / "identity.key").read_bytes() for node in nodes]
        for node in nodes:
            swarm.check(node.stop() == 0, f"{node.name} did not stop cleanly")
        for node in (ben, anna, operator):  # the coordinator last: members wait for it
            node.start()
        swarm.until("the question can be answered again", operator.answerable)
        swarm.until("anna and ben see each other", lambda: anna.sees(ben, operator))
        swarm.check([facts(node) for node in nodes] == before, f"{[facts(node) for node in nodes]} and {before}")
        for node, version, key in zip(nodes, versions, keys):
            swarm.check(int(node.status()["swarm"]["list_version"]) >= version, f"{node.name}: the list went back")
            path = node.state / "identity.key"
            swarm.check(path.read_bytes() == key, f"{node.name}: another identity")
            swarm.check(stat.S_IMODE(path.stat().st_mode) == 0o600, f"{node.name}: identity.key can be read by others")
        swarm.check(operator.ask("What is a shard?").text == text, "the answer is another one")


if __name__ == "__main__":
    swarm.main(invites, restarts)
