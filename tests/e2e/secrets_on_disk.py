#!/usr/bin/env python3
"""P10: nothing that opens the swarm lies in the database, the log or any other file of its coordinator, or of a member,
but the two key files.

  secrets_on_disk.py [KITH]     default: src/app/kith of $KITH_BUILD

Prints "ok - ..." lines. What is searched: the token, its seed, the swarm's secret before and after a removal, and the
seeds of identities; raw, in hex and in base64, half of each (16 bytes) counting as a find.
"""
import base64
import binascii

import swarm

FIND_BYTES = 16
SEEDS_OFFSET = 12  # of identity.key: magic, version, flags
TOKEN_PREFIX, CHECKSUM_BYTES, SEED_BYTES = "kith1", 4, 32
KEY_FILES = {"identity.key", "swarm.key"}


def token_seed(token):
    text = token.removeprefix(TOKEN_PREFIX)
    body = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    return body[-CHECKSUM_BYTES - SEED_BYTES:-CHECKSUM_BYTES]


def forms(secret):
    """What 16 bytes look like in a file. In base64, at each of the three places in which a group may begin."""
    half = secret[:FIND_BYTES]
    found = {half, binascii.hexlify(half), binascii.hexlify(half).upper()}
    for shift in range(3):
        text = base64.b64encode(half[shift:shift + (FIND_BYTES - shift) // 3 * 3])
        found |= {text, text.translate(bytes.maketrans(b"+/", b"-_"))}
    return found


def files_of(node):
    return [path for path in [*node.state.rglob("*"), node.log] if path.is_file()]


def holders(node, secret):
    """Names of the files of `node` with `secret` in them."""
    found = set()
    for path in files_of(node):
        content = path.read_bytes()
        if any(form in content for form in forms(secret)):
            found.add(path.name)
    return found


def seeds(node):
    bytes_ = (node.state / "identity.key").read_bytes()[SEEDS_OFFSET:]
    return {"root": bytes_[:32], "operational": bytes_[32:64], "static": bytes_[64:96]}


def swarm_secret(node):
    return (node.state / "swarm.key").read_bytes()[-32:]


def only_key_files(kith):
    """after create, invite, join, restart and kick no file but identity.key and swarm.key has a secret in it"""
    with swarm.Swarm(kith) as group:
        operator = group.node("operator").create()
        operator.keep_port()
        tokens = [operator.token(), operator.token()]
        anna, ben = group.node("anna"), group.node("ben")
        for node, token in zip((anna, ben), tokens):
            node.join(token)
            node.start()
        swarm.until("anna sees the others", lambda: anna.sees(operator, ben))
        secrets = {"the secret before": swarm_secret(operator)}
        operator.run("peers", "kick", ben.status()["address"])
        swarm.until("anna has the new secret", lambda: swarm_secret(anna) != secrets["the secret before"])
        secrets["the secret after"] = swarm_secret(operator)
        operator.stop()
        operator.start()
        swarm.until("anna sees the operator again", lambda: anna.sees(operator))

        for node in (operator, anna):
            # The search sees what is there, and what is not secret is in the database.
            swarm.check(holders(node, secrets["the secret after"]) == {"swarm.key"}, f"{node.name}: the new secret lies in "
                        f"{holders(node, secrets['the secret after'])}")
            swarm.check(any(".db" in name for name in holders(node, bytes.fromhex(anna.status()["node_id"]))),
                        f"{node.name}: the search does not see a node id in the database")
            secrets |= {f"{name} of {node.name}": seed for name, seed in seeds(node).items()}
        for i, token in enumerate(tokens):
            secrets |= {f"token {i}": token.encode(), f"the end of token {i}": token[-40:].encode(),
                        f"the seed of token {i}": token_seed(token)}
        for node in (operator, anna, ben):
            for name, secret in secrets.items():
                stray = holders(node, secret) - KEY_FILES
                # Every token names its swarm, operator and addresses at the beginning: not a secret.
                if name.startswith("token"):
                    stray = {path.name for path in files_of(node) if secret in path.read_bytes()}
                swarm.check(not stray, f"{node.name}: {name} lies in {stray}")


if __name__ == "__main__":
    swarm.main(only_key_files)
