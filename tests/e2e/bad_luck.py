#!/usr/bin/env python3
"""A full disk, a closed terminal, a moved home, odd names: nothing ends that need not, and nothing is lost silently.

  bad_luck.py KITH
"""
import os
import signal
import socket
import subprocess

import swarm


def p2p_address(node):
    parts = node.status()["listening"][0].split("/")  # /ip4/127.0.0.1/tcp/PORT/p2p/...
    return parts[2], int(parts[4])


def unwritable_log(kith):
    """a log that takes no more lines ends neither the node nor an answer"""
    with swarm.Swarm(kith) as group:
        node = group.node("operator")
        node.run("create", "home")
        with open("/dev/full", "wb") as full:
            node.process = subprocess.Popen(node.command("serve"), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                            stderr=full, env=group.environment)
        swarm.until("it answers", node.answers)
        with socket.create_connection(p2p_address(node)) as stranger:
            stranger.sendall(b"\xff" * 512)
            while stranger.recv(4096):
                pass
        connection = node.connect()
        for _ in range(2):  # on one connection: a line of the log lies between the two
            connection.request("GET", "/health")
            response = connection.getresponse()
            swarm.check(response.status == 200, f"/health: {response.status}")
            response.read()
        connection.close()
        swarm.check(node.stop() == 0, "it did not stop as asked")


def unwritable_output(kith):
    """what standard output does not take is an error; the token of an invite that nobody saw can be taken back"""
    with swarm.Swarm(kith) as group:
        node = group.node("operator").create()

        def run_to(target, *words):
            with open(target, "wb") as out:
                return subprocess.run(node.command(*words), stdin=subprocess.DEVNULL, stdout=out,
                                      stderr=subprocess.PIPE, env=group.environment, timeout=swarm.PATIENCE_SECONDS)

        done = run_to("/dev/full", "models", "list", "--json")
        swarm.check(done.returncode == 1 and b"could not be written" in done.stderr, f"{done}")
        swarm.check(run_to("/dev/null", "models", "list", "--json").returncode == 0, "control: where it can be written")
        done = run_to("/dev/full", "invite", "create")
        swarm.check(done.returncode == 1 and b"kith invite revoke" in done.stderr, f"{done}")
        invite = done.stderr.decode().split("kith invite revoke ")[1].split()[0]
        node.run("invite", "revoke", invite)


def hang_up(kith):
    """the end of the terminal is the end of the node, in order; under nohup it goes on"""
    with swarm.Swarm(kith) as group:
        node = group.node("operator").create()
        node.process.send_signal(signal.SIGHUP)
        swarm.check(node.process.wait(swarm.STOP_SECONDS) == 0, f"SIGHUP: {node.process.returncode}")
        swarm.check(not (node.state / "run/control.sock").exists(), "the socket stays behind")
        with open(node.log, "ab") as log:
            node.process = subprocess.Popen(["nohup", *node.command("serve")], stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, env=group.environment)
        swarm.until("it answers", node.answers)
        node.process.send_signal(signal.SIGHUP)
        swarm.check(node.run("status").code == 0, "SIGHUP reached it through nohup")


def moved_home(kith):
    """a state folder below a link works; kith finds its node whatever the session's environment says"""
    with swarm.Swarm(kith) as group:
        (group.folder / "real").mkdir(mode=0o700)
        (group.folder / "home").symlink_to(group.folder / "real")
        runtime = group.folder / "runtime"
        runtime.mkdir(mode=0o700)
        home = group.environment | {"HOME": str(group.folder / "home")}

        def kith_at(*words, **more):
            done = subprocess.run([str(group.kith), *words], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                                  env=home | more, timeout=swarm.PATIENCE_SECONDS)
            swarm.check(done.returncode == 0, f"kith {' '.join(words)}: {done}")
            return done.stdout

        kith_at("create", "family")
        node = group.node("unused")
        with open(node.log, "ab") as log:
            node.process = subprocess.Popen(
                [str(group.kith), "serve"], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=home | {"XDG_RUNTIME_DIR": str(runtime), "KITH_NODE_LISTEN": "127.0.0.1:0", "KITH_API_PORT": "0"})
        swarm.until("its socket is there, which is not in XDG_RUNTIME_DIR",
                    (group.folder / "real/.local/state/kith/run/control.sock").exists)
        swarm.until("the node answers a shell without XDG_RUNTIME_DIR",
                    lambda: '"family"' in kith_at("status", "--json"))


def odd_file_name(kith):
    """a model file whose name is no UTF-8 is cut like any other"""
    with swarm.Swarm(kith) as group:
        node = group.node("operator").create()
        odd = os.fsencode(group.folder) + b"/w\xff.gguf"
        os.symlink(os.fsencode(swarm.MODEL_FILE), odd)
        done = subprocess.run([*map(os.fsencode, node.command("models", "add")), odd, b"--name", b"guide"],
                              capture_output=True, env=group.environment, timeout=swarm.PATIENCE_SECONDS)
        swarm.check(done.returncode == 0 and node.model() is not None, f"{done}")


def open_doors(kith):
    """P20: an endpoint that others could reach is not opened without a key that the user chose"""
    with swarm.Swarm(kith) as group:
        node = group.node("operator")
        node.run("create", "home")
        for host in ("0.0.0.0", "::", "203.0.113.7"):
            done = node.run("serve", "--http-host", host, check=False)
            swarm.check(done.code == swarm.NOT_PERMITTED, f"serve --http-host {host}: {done.code} {done.err}")


if __name__ == "__main__":
    swarm.main(open_doors, unwritable_log, unwritable_output, hang_up, moved_home, odd_file_name)
