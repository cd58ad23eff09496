#!/usr/bin/env python3
"""What kith status and kith peers show of the ground they stand on.

  shown.py [KITH]     default: src/app/kith of $KITH_BUILD
"""
import swarm

ALGORITHMS = ["ML-DSA-65", "ML-KEM-768"]
UNREACHABLE = "127.0.0.1:1"  # nothing listens there


def providers(kith):
    """kith status names who computes each post-quantum algorithm, and why"""
    with swarm.Swarm(kith) as group:
        node = group.node("home").start()
        shown = {entry["algorithm"]: entry for entry in node.status()["crypto"]}
        swarm.check(sorted(shown) == ALGORITHMS, f"{shown}")
        text = node.run("status").out
        for name, entry in shown.items():
            swarm.check(entry["provider"] in ("in-tree", "libcrypto") and entry["reason"], f"{entry}")
            swarm.check(name in text and entry["reason"] in text, text)
        swarm.check("OpenSSL" in node.status()["libcrypto"], "the version of the library is missing")


def paths(kith):
    """kith peers says which members are reached directly, which through a relay, and which not at all"""
    with swarm.Swarm(kith) as group:
        operator = group.node("operator").create()
        members = []
        for name in ("anna", "ben"):
            node = group.node(name)
            config = node.state / "config.toml"
            config.write_text(config.read_text().replace("[node]", f'[node]\nannounce = ["{UNREACHABLE}"]'))
            node.join(operator.token())
            members.append(node.start())
        anna, ben = members

        def path(node, other_id):
            return {peer["node_id"]: peer["path"] for peer in node.ask_json("peers")["peers"]}.get(other_id)

        ben_id = ben.status()["node_id"]
        swarm.until("anna sees both", lambda: anna.sees(operator, ben))
        swarm.check(path(anna, operator.status()["node_id"]) == "direct", "the operator is reached directly")
        swarm.check(path(anna, ben_id) == "relayed", f"ben is reached through the operator: {path(anna, ben_id)}")
        swarm.check("relayed" in anna.run("peers").out, "the table says so as well")
        ben.stop()
        swarm.until("ben is gone", lambda: path(anna, ben_id) == "")


def node_ids(kith):
    """what kith status shows as the node id is, whole, what the others' kith peers shows of that machine"""
    with swarm.Swarm(kith) as group:
        operator = group.node("operator").create()
        anna = group.member("anna", operator)
        swarm.until("they see each other", lambda: anna.sees(operator) and operator.sees(anna))
        for here, there in ((operator, anna), (anna, operator)):
            own = there.status()["node_id"]
            swarm.check(len(own) == 64 and own in there.run("status").out, "kith status shows its node id")
            swarm.check(own in [peer["node_id"] for peer in here.ask_json("peers")["peers"]], "as JSON")
            swarm.check(own in here.run("peers", "--whole-ids").out, "in the table")
            swarm.check(own not in here.run("peers").out and own[:16] in here.run("peers").out, "its beginning")


def admits_all(kith):
    """a node that admits everybody says so in kith status and in its log, and another says nothing"""
    with swarm.Swarm(kith) as group:
        careful, open_ = group.node("careful"), group.node("open")
        config = open_.state / "config.toml"
        config.write_text(config.read_text() + '\n[trust]\npolicy = "allow_all"\n')
        careful.start()
        open_.start()
        warnings = open_.status()["warnings"]
        swarm.check(len(warnings) == 1 and "allow_all" in warnings[0], f"{warnings}")
        swarm.check(warnings[0] in open_.run("status").err, "kith status warns a person")
        swarm.check("allow_all" in open_.log.read_text(), "the log of the node warns")
        swarm.check(not careful.status().get("warnings"), "nothing to warn of")


if __name__ == "__main__":
    swarm.main(providers, paths, node_ids, admits_all)
