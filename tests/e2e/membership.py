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
        listed = operator.ask_json("invite", "list")["invites"][0]
        swarm.check(int(listed["expires_at"]) - int(listed["created_at"]) == 24 * 3600,
                    f"an invite lives for a day unless one says otherwise: {listed}")
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


def balances(node):
    """What each member computed for the node less what the node computed for it; its own under its own id."""
    return {peer["node_id"]: int(peer.get("balance", 0)) for peer in node.ask_json("peers")["peers"]}


def restarts(kith):
    """P6: after every node was restarted, identities, membership, models, peers and balances are as before"""
    with swarm.Swarm(kith) as group:
        operator, anna, ben, _ = swarm.boomerang(group)
        nodes = (operator, anna, ben)
        for node in nodes:
            node.keep_port()
        operator.configure("encrypted_pipeline = true")
        text = operator.ask("What is a shard?").text
        ids = [node.status()["node_id"] for node in nodes]
        swarm.until("anna and ben are paid", lambda: all(balances(operator)[other] > 0 for other in ids[1:]))
        paid = [balances(node) for node in nodes]
        swarm.check(sum(paid[0].values()) == 0, f"the balances do not add up to nothing: {paid[0]}")
        for other, seen in zip(ids[1:], paid[1:]):
            swarm.check(seen[ids[0]] == -paid[0][other], f"two ledgers differ: {paid[0]} and {seen}")
        swarm.check(f"{paid[0][ids[1]]:+}" in operator.run("peers").out, "the table shows no balance")
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
        swarm.check([balances(node) for node in nodes] == paid, f"{[balances(node) for node in nodes]} and {paid}")
        for node, version, key in zip(nodes, versions, keys):
            swarm.check(int(node.status()["swarm"]["list_version"]) >= version, f"{node.name}: the list went back")
            path = node.state / "identity.key"
            swarm.check(path.read_bytes() == key, f"{node.name}: another identity")
            swarm.check(stat.S_IMODE(path.stat().st_mode) == 0o600, f"{node.name}: identity.key can be read by others")
        swarm.check(operator.ask("What is a shard?").text == text, "the answer is another one")


def secret_of(node):
    return (node.state / "swarm.key").read_bytes()


def kick(kith):
    """P19: a kicked member is gone at once and for good, the others have a new secret, the one that was away too"""
    with swarm.Swarm(kith) as group:
        operator = group.node("operator").create()
        anna, ben, cleo = (group.member(name, operator) for name in ("anna", "ben", "cleo"))
        swarm.until("everybody sees everybody", lambda: operator.sees(anna, ben, cleo) and ben.sees(anna, cleo))
        old, anna_id = secret_of(ben), anna.status()["node_id"]
        swarm.check(cleo.stop() == 0, "cleo did not stop cleanly")
        others = ben.run("peers", "kick", anna_id[:16], check=False)
        swarm.check(others.code == swarm.NOT_PERMITTED, f"a member kicks: {others.code} {others.err}")
        kicked = operator.ask_json("peers", "kick", anna_id[:16])
        swarm.check(kicked["node_id"] == anna_id and kicked["told_count"] == 1 and kicked["left_count"] == 1, f"{kicked}")
        swarm.until("anna is cut off", lambda: not anna.sees(ben) and not anna.sees(operator))
        swarm.check(not any(peer["node_id"] == anna_id for peer in ben.ask_json("peers")["peers"]), "ben still knows anna")
        swarm.until("ben has the new secret", lambda: secret_of(ben) == secret_of(operator) != old)
        cleo.start()
        swarm.until("cleo is back with the new secret", lambda: operator.sees(cleo) and secret_of(cleo) == secret_of(operator))
        swarm.until("cleo and ben see each other", lambda: ben.sees(cleo))
        swarm.check(secret_of(anna) == old, "anna has the new secret")


def rotation(kith):
    """E5: a machine exchanges its keys, running and stopped, and is the same member under the same address"""
    with swarm.Swarm(kith) as group:
        operator = group.node("operator").create()
        anna, ben = group.member("anna", operator), group.member("ben", operator)
        swarm.until("everybody sees everybody", lambda: operator.sees(anna, ben) and ben.sees(anna))
        before = anna.status()
        rotated = anna.ask_json("identity", "rotate")
        swarm.check(rotated["node_id"] != before["node_id"], "the same key")
        swarm.check(rotated["address"] == before["address"] == anna.status()["address"], "another address")
        swarm.until("they see the new key", lambda: operator.sees(anna) and ben.sees(anna))
        swarm.check(anna.stop() == 0, "anna did not stop cleanly")
        again = anna.ask_json("identity", "rotate")
        swarm.check(again["node_id"] != rotated["node_id"] and int(again["counter"]) > int(rotated["counter"]), f"{again}")
        anna.start()
        swarm.until("they see the newest key", lambda: operator.sees(anna) and ben.sees(anna))
        members = {peer["node_id"] for peer in ben.ask_json("peers")["peers"]}
        swarm.check(not members & {before["node_id"], rotated["node_id"]}, "an old key is a member")
        refused = operator.run("identity", "rotate", check=False)
        swarm.check(refused.code == swarm.NOT_PERMITTED and "coordinates" in refused.err, f"{refused.code} {refused.err}")


if __name__ == "__main__":
    swarm.main(invites, restarts, kick, rotation)
