#!/usr/bin/env python3
"""P22: identity.key under a passphrase, with the real binary: from files, descriptors and a terminal.

  passphrase.py [KITH]     default: src/app/kith of $KITH_BUILD

Prints "ok - ..." lines.
"""
import os
import pty
import select
import subprocess
import time

import swarm

GOOD, OTHER, WRONG = "correct horse battery", "staple and a stapler", "correct horse batteri"
CTRL_C = "\x03"


def secret_file(node, name, text):
    path = node.swarm.folder / name
    path.touch(mode=0o600)
    path.write_text(text + "\n")
    return str(path)


def from_files(node, current, fresh=None):
    places = {"KITH_PASSPHRASE_FILE": secret_file(node, "current", current)}
    if fresh:
        places["KITH_NEW_PASSPHRASE_FILE"] = secret_file(node, "fresh", fresh)
    return places


def key_bytes(node):
    return (node.state / "identity.key").read_bytes()


def status(node, **environment):
    """Opens the key in this command, as no daemon runs."""
    return node.run("models", "list", env=environment, check=False)


def on_terminal(node, words, answers):
    """Runs a command whose controlling terminal is ours. (exit code, all that the terminal showed)."""
    pid, terminal = pty.fork()
    if pid == 0:
        command = node.command(*words)
        os.execve(command[0], command, node.swarm.environment)
    shown, answers = b"", list(answers)
    end = time.monotonic() + swarm.PATIENCE_SECONDS
    questions = 0
    while time.monotonic() < end:
        if select.select([terminal], [], [], 0.1)[0]:
            try:
                piece = os.read(terminal, 4096)
            except OSError:  # the other side is closed
                break
            if not piece:
                break
            shown += piece
        asked = shown.count(b"passphrase for identity.key: ") + shown.count(b"Passphrase of identity.key: ") \
            + shown.count(b"Again: ")
        if asked > questions and answers:
            questions += 1
            os.write(terminal, answers.pop(0).encode())
    _, code = os.waitpid(pid, 0)
    os.close(terminal)
    return os.waitstatus_to_exitcode(code), shown.decode(errors="replace")


def made_with_one(kith):
    """kith init --passphrase: the first start makes a key that opens with its passphrase only"""
    with swarm.Swarm(kith) as group:
        node = group.node("home")
        (node.state / "config.toml").unlink()
        node.run("init", "--passphrase")
        swarm.check(not (node.state / "identity.key").exists(), "init made a key")
        node.run("create", "home", env=from_files(node, GOOD))
        before = key_bytes(node)
        swarm.check(status(node, **from_files(node, GOOD)).code == 0, "the passphrase does not open it")
        refused = status(node, **from_files(node, WRONG))
        swarm.check(refused.code == swarm.NOT_PERMITTED and "passphrase is wrong" in refused.err, refused.err)
        swarm.check(key_bytes(node) == before, "a wrong passphrase changed the file")


def set_and_removed(kith):
    """set, exchanged and removed; each failure leaves the file as it was"""
    with swarm.Swarm(kith) as group:
        node = group.node("home")
        node.run("create", "home")
        clear = key_bytes(node)
        short = node.run("identity", "passphrase", "set", env=from_files(node, "", "short"), check=False)
        swarm.check(short.code != 0 and key_bytes(node) == clear, "a short passphrase was taken")
        node.run("identity", "passphrase", "set", env=from_files(node, "", GOOD))
        sealed = key_bytes(node)
        swarm.check(clear[12:108] not in sealed and (node.state / "identity.key").stat().st_mode & 0o777 == 0o600,
                    "the seeds are still there, or the mode is wrong")
        for words in (("set",), ("remove",)):
            wrong = node.run("identity", "passphrase", *words, env=from_files(node, WRONG, OTHER), check=False)
            swarm.check(wrong.code == swarm.NOT_PERMITTED and key_bytes(node) == sealed, f"{words}: {wrong.err}")
        node.run("identity", "passphrase", "set", env=from_files(node, GOOD, OTHER))
        swarm.check(status(node, **from_files(node, GOOD)).code != 0, "the old passphrase still opens it")
        swarm.check(status(node, **from_files(node, OTHER)).code == 0, "the new one does not open it")
        node.run("identity", "passphrase", "remove", env=from_files(node, OTHER))
        swarm.check(status(node).code == 0, "it still asks")


def readable_by_others(kith):
    """a passphrase file that others can read is refused"""
    with swarm.Swarm(kith) as group:
        node = group.node("home")
        node.run("create", "home")
        places = from_files(node, "", GOOD)
        os.chmod(places["KITH_NEW_PASSPHRASE_FILE"], 0o644)
        done = node.run("identity", "passphrase", "set", env=places, check=False)
        swarm.check(done.code == swarm.NOT_PERMITTED, f"{done.code}: {done.err}")


def by_descriptor(kith):
    """kith serve takes it from a descriptor, once, and a change is refused while it runs"""
    with swarm.Swarm(kith) as group:
        node = group.node("home")
        node.run("create", "home")
        node.run("identity", "passphrase", "set", env=from_files(node, "", GOOD))
        reader, writer = os.pipe()
        os.write(writer, f"{GOOD}\n".encode())
        os.close(writer)
        with open(node.log, "ab") as log:
            node.process = subprocess.Popen(node.command("serve"), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            pass_fds=[reader],
                                            env=group.environment | {"KITH_PASSPHRASE_FD": str(reader)})
        os.close(reader)
        swarm.until("the node answers", node.answers)
        before = key_bytes(node)
        node.run("identity", "passphrase", "set", env=from_files(node, GOOD, OTHER), check=False)
        swarm.check(key_bytes(node) == before, "it was changed under a running node")


def nobody_to_ask(kith):
    """without a terminal and without a place it says so, instead of waiting"""
    with swarm.Swarm(kith) as group:
        node = group.node("home")
        node.run("create", "home")

        def alone(*words):
            return subprocess.run(node.command(*words), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                  env=group.environment, timeout=swarm.PATIENCE_SECONDS, start_new_session=True,
                                  check=False)

        fresh = alone("identity", "passphrase", "set")
        swarm.check(fresh.returncode == swarm.NOT_PERMITTED and "a new passphrase is needed" in fresh.stderr
                    and "KITH_NEW_PASSPHRASE_FILE" in fresh.stderr, fresh.stderr)
        node.run("identity", "passphrase", "set", env=from_files(node, "", GOOD))
        done = alone("serve")
        swarm.check(done.returncode == swarm.NOT_PERMITTED and "has a passphrase" in done.stderr
                    and "KITH_PASSPHRASE_FILE" in done.stderr, done.stderr)


def at_the_terminal(kith):
    """at the terminal it is asked for without echo, twice when new, and Ctrl-C ends it"""
    with swarm.Swarm(kith) as group:
        node = group.node("home")
        node.run("create", "home")
        clear = key_bytes(node)
        code, shown = on_terminal(node, ("identity", "passphrase", "set"), [GOOD + "\n", OTHER + "\n"])
        swarm.check(code != 0 and "differ" in shown and key_bytes(node) == clear, shown)
        code, shown = on_terminal(node, ("identity", "passphrase", "set"), [GOOD + "\n", GOOD + "\n"])
        swarm.check(code == 0 and key_bytes(node) != clear, shown)
        swarm.check(GOOD not in shown, f"the passphrase was shown: {shown}")
        code, shown = on_terminal(node, ("models", "list"), [GOOD + "\n"])
        swarm.check(code == 0 and GOOD not in shown, shown)
        code, shown = on_terminal(node, ("models", "list"), ["half of it" + CTRL_C])
        swarm.check(code != 0 and "interrupted" in shown, shown)


if __name__ == "__main__":
    swarm.main(made_with_one, set_and_removed, readable_by_others, by_descriptor, nobody_to_ask, at_the_terminal)
