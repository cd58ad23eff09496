#!/usr/bin/env python3
"""punch.py RELAY_PEER: two of our peers behind real address translators of the kernel, and a relay outside.

Network namespaces on this machine: a public net with the relay and two routers that masquerade and let nobody in, one
peer behind each. Ends with status 0 when the peers got from their relayed connection to a direct one that outlives the
relay; 77 (skipped) where this is not root's machine, or ip and nft are not there.
"""
import json
import os
import queue
import shutil
import subprocess
import sys
import threading

STEP_S = 60
NAT = """
table ip kith {
  chain nat { type nat hook postrouting priority 100; oifname "out" masquerade; }
  chain forward { type filter hook forward priority 0; policy drop;
    ct state established,related accept; iifname "in" accept; }
  chain input { type filter hook input priority 0; iifname "out" drop; }
}
"""
# What a router does that cannot be punched: each destination sees another port.
NAT_RANDOM = NAT.replace("masquerade;", "masquerade random;")

prefix = f"kith{os.getpid()}"
failures = 0


def check(sentence, good, detail=""):
    global failures
    print(("ok - " if good else "not ok - ") + sentence + ("" if good or not detail else f": {detail}"), flush=True)
    failures += 0 if good else 1


def ip(*words):
    subprocess.run(["ip", *words], check=True)


def inside(space, *words, **options):
    return subprocess.run(["ip", "netns", "exec", f"{prefix}{space}", *words], check=True, **options)


def connect(space_a, name_a, space_b, name_b):
    ip("link", "add", "veth-a", "netns", f"{prefix}{space_a}", "type", "veth", "peer", "name", "veth-b",
       "netns", f"{prefix}{space_b}")
    for space, old, new in ((space_a, "veth-a", name_a), (space_b, "veth-b", name_b)):
        inside(space, "ip", "link", "set", old, "name", new, "up")


def build_net(rules):
    for space in ("pub", "ra", "rb", "a", "b"):
        ip("netns", "add", f"{prefix}{space}")
        inside(space, "ip", "link", "set", "lo", "up")
    inside("pub", "ip", "link", "add", "net", "type", "bridge")
    inside("pub", "ip", "link", "set", "net", "up")
    inside("pub", "ip", "address", "add", "203.0.113.1/24", "dev", "net")
    for number, peer in enumerate(("a", "b"), 1):
        router = f"r{peer}"
        connect(router, "out", "pub", f"p{number}")
        inside("pub", "ip", "link", "set", f"p{number}", "master", "net")
        connect(router, "in", peer, "eth")
        inside(router, "ip", "address", "add", f"203.0.113.{number}0/24", "dev", "out")
        inside(router, "ip", "address", "add", f"10.{number}.0.1/24", "dev", "in")
        inside(router, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
        inside(router, "nft", "-f", "-", input=rules.encode())
        inside(peer, "ip", "address", "add", f"10.{number}.0.2/24", "dev", "eth")
        inside(peer, "ip", "route", "add", "default", "via", f"10.{number}.0.1")


def drop_net():
    for space in ("a", "b", "ra", "rb", "pub"):
        subprocess.run(["ip", "netns", "delete", f"{prefix}{space}"], stderr=subprocess.DEVNULL, check=False)


class Peer:
    def __init__(self, binary, space, address, grant):
        self.process = subprocess.Popen(["ip", "netns", "exec", f"{prefix}{space}", binary, grant, address],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.events = queue.Queue()
        threading.Thread(target=self.read, daemon=True).start()
        listening = self.next("listening")
        self.id = listening["peer"]
        self.address = f"/ip4/{address}/tcp/{listening['port']}/p2p/{self.id}"

    def read(self):
        for line in self.process.stdout:
            self.events.put(json.loads(line))

    def next(self, *names, timeout=STEP_S):
        while True:
            event = self.events.get(timeout=timeout)
            if event["event"] in names:
                return event

    def send(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def stop(self):
        self.process.stdin.close()
        self.process.wait(timeout=STEP_S)


def meet(binary):
    """The relay, and two peers with a relayed connection, the second one dialled."""
    relay = Peer(binary, "pub", "203.0.113.1", "unlimited")
    one = Peer(binary, "a", "10.1.0.2", "refused")
    two = Peer(binary, "b", "10.2.0.2", "refused")
    for peer in (one, two):
        peer.send(f"dial {relay.address}")
        peer.next("connected")
    two.send("reserve")
    reserved = two.next("reserved")
    one.send(f"dial {reserved['address']}/p2p/{two.id}")
    up = one.next("connected")
    check("two peers behind routers meet at the relay", up["path"] == "relayed" and up["peer"] == two.id, up)
    two.next("connected")
    # Both have asked the relay by identify where it sees them.
    one.send("ping")
    one.next("pinged")
    two.send("upgrade")
    return relay, one, two


def punchable(binary):
    relay, one, two = meet(binary)
    up = one.next("connected", "down")
    check("the one who dialled through the relay has a direct connection, as its client",
          up.get("path") == "direct" and up["peer"] == two.id and up["direction"] == "outbound", up)
    up = two.next("connected", "down")
    check("and the other one is its server",
          up.get("path") == "direct" and up["peer"] == one.id and up["direction"] == "inbound", up)
    relay.stop()
    two.next("down")
    one.send("echo 1000000")
    echoed = one.next("echoed", "reset")
    check("1 MB goes there and back without the relay", echoed.get("ok") is True, echoed)
    one.stop()
    two.stop()


def unpunchable(binary):
    relay, one, two = meet(binary)
    try:
        up = one.next("connected", timeout=40)
    except queue.Empty:
        up = None
    check("behind routers that map each destination to another port there is no direct connection", up is None, up)
    one.send("echo 100000")
    echoed = one.next("echoed", "reset", "down")
    check("and the relayed one stands", echoed.get("ok") is True, echoed)
    for peer in (one, two, relay):
        peer.stop()


def main():
    if os.geteuid() != 0 or not shutil.which("ip") or not shutil.which("nft"):
        print("skipped: needs root, ip and nft")
        return 77
    for case, rules in ((punchable, NAT), (unpunchable, NAT_RANDOM)):
        try:
            build_net(rules)
        except subprocess.CalledProcessError as error:
            drop_net()
            print(f"skipped: this machine gives no namespaces or no address translation: {error}")
            return 77
        try:
            case(sys.argv[1])
        except (queue.Empty, subprocess.SubprocessError) as error:
            check(case.__name__, False, repr(error))
        finally:
            drop_net()
    return 0 if failures == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
