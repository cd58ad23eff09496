#!/usr/bin/env python3
"""router.py ROUTER_PEER: io/nat as the product uses it, against a home router (home_router.py), good, odd and hostile.

Each case has network namespaces of its own on this machine: a home whose default gateway is the router's. Prints one
line per check and ends with status 0 when all hold; 77 (skipped) where this is not root's machine, or ip is not there.
"""
import json
import os
import queue
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

STEP_S = 100  # the product gives up by itself long before
HOME = "192.168.77.2"
GATEWAY = "192.168.77.1"
OTHER = "192.168.77.9"  # somebody else in that network; the router's process listens there too
GOOD = {"event": "mapped", "internal": 8810, "external": 8810, "seconds": 3600}

failures = 0
printing = threading.Lock()


def check(sentence, good, detail=""):
    global failures
    with printing:
        print(("ok - " if good else "not ok - ") + sentence + ("" if good or detail == "" else f": {detail}"), flush=True)
        failures += 0 if good else 1


class Process:
    """A program in a namespace: lines in, JSON events out."""

    def __init__(self, space, *words):
        self.process = subprocess.Popen(["ip", "netns", "exec", space, *words], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.events = queue.Queue()
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            self.events.put(json.loads(line))

    def next(self):
        return self.events.get(timeout=STEP_S)

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.next()

    def end(self):
        """The events that are left; the process is gone."""
        self.process.stdin.close()
        status = self.process.wait(timeout=STEP_S)
        self.reader.join(timeout=STEP_S)
        if status != 0:
            check(f"{self.process.args[4]} ends with status 0", False, status)
        return list(self.events.queue)

    def kill(self):
        self.process.kill()
        self.process.wait()


class House:
    """A home and its router."""

    def __init__(self, name, binary, **options):
        prefix = f"kith{os.getpid()}{name}"
        self.spaces = [f"{prefix}h", f"{prefix}r"]
        self.binary = binary
        self.options = options
        self.processes = []

    def __enter__(self):
        home, router = self.spaces
        for space in self.spaces:
            subprocess.run(["ip", "netns", "add", space], check=True)
            self.inside(space, "link", "set", "lo", "up")
        self.inside(home, "link", "add", "eth", "type", "veth", "peer", "name", "lan", "netns", router)
        self.inside(home, "address", "add", f"{HOME}/24", "dev", "eth")
        for address in (GATEWAY, OTHER):
            self.inside(router, "address", "add", f"{address}/24", "dev", "lan")
        self.inside(router, "link", "set", "lan", "up")
        self.inside(home, "link", "set", "eth", "up")
        self.inside(home, "route", "add", "default", "via", GATEWAY)
        self.router = self.start(router, sys.executable, "-B", str(Path(__file__).with_name("home_router.py")),
                                 json.dumps(self.options))
        self.router.next()  # ready
        self.peer = self.start(home, self.binary)
        return self

    def start(self, *words):
        process = Process(*words)
        self.processes.append(process)
        return process

    @staticmethod
    def inside(space, *words):
        subprocess.run(["ip", "-n", space, *words], check=True)

    def map(self, external=8810):
        return self.peer.ask(f"map 8810 {external} 3600")

    def seen(self):
        """What the router saw, and its table at the end."""
        self.peer.end()
        *events, table = self.router.end()
        return events, table["entries"]

    def __exit__(self, *_):
        for process in self.processes:
            process.kill()
        for space in self.spaces:
            subprocess.run(["ip", "netns", "delete", space], stderr=subprocess.DEVNULL, check=False)


def only(events, name):
    return [event for event in events if event["event"] == name]


def maps_renews_and_releases(house):
    first, second = house.map(), house.map()
    check("IGD: a mapping is made, and renewed", first == GOOD and second == GOOD, (first, second))
    house.peer.ask("release 8810 8810")
    events, table = house.seen()
    wanted = {"event": "add", "external": "8810", "internal": "8810", "client": HOME, "protocol": "TCP",
              "seconds": "3600"}
    check("IGD: the router was asked twice for the same", only(events, "add") == [wanted] * 2, events)
    check("IGD: the mapping is deleted", table == {} and
          only(events, "delete") == [{"event": "delete", "external": "8810", "protocol": "TCP"}], events)
    check("IGD: the router is not asked about our outside address", only(events, "action") == [], events)


def forwards(house):
    heard = house.peer.ask("forward 8810")
    check("forwarder: the loop hears of the port", heard == {"event": "forwarded", "port": 8810}, heard)
    house.peer.ask("stop")
    events, table = house.seen()
    check("forwarder: the port is given back at the end", table == {} and len(only(events, "delete")) == 1, events)


def conflict(house):
    answer = house.map()
    check("IGD: a taken port is not ours; the next one is", answer == {**GOOD, "external": 8812}, answer)
    events, table = house.seen()
    check("IGD: nothing but that stands", list(table) == ["8812"], table)


def all_taken(house):
    answer = house.map()
    check("IGD: all taken is a refusal", answer == {"event": "refused", "code": "unavailable"}, answer)
    asked = [event["external"] for event in only(house.seen()[0], "add")]
    check("IGD: four ports are tried", asked == ["8810", "8811", "8812", "8813"], asked)


def last_taken(house):
    answer = house.map(65535)
    asked = [event["external"] for event in only(house.seen()[0], "add")]
    check("IGD: there is no port above the last", answer["event"] == "refused" and asked == ["65535"], (answer, asked))


def permanent(house):
    answer = house.map()
    asked = [event["seconds"] for event in only(house.seen()[0], "add")]
    check("IGD: permanent leases only: asked for one, and said so",
          answer == {**GOOD, "seconds": 0} and asked == ["3600", "0"], (answer, asked))


def disconnected(house):
    answer = house.map()
    events, _ = house.seen()
    check("IGD: a router without a way out is not asked for a port",
          answer["event"] == "refused" and only(events, "add") == [] and only(events, "description") != [], events)


def natpmp_alone(house):
    answer = house.map()
    check("NAT-PMP: the router's port and lifetime hold", answer == {**GOOD, "external": 40000, "seconds": 1200}, answer)
    house.peer.ask("release 8810 40000")
    events, table = house.seen()
    asked = [(event["opcode"], event["internal"], event["external"], event["seconds"]) for event in only(events, "natpmp")]
    check("NAT-PMP: asked for TCP, then with lifetime 0 and no port of the router (RFC 6886 3.4)",
          asked == [(2, 8810, 8810, 3600), (2, 8810, 0, 0)] and table == {}, (asked, table))


def natpmp_behind_igd(house):
    answer = house.map()
    check("an IGD that refuses, and NAT-PMP: a mapping by NAT-PMP", answer == GOOD, answer)
    house.peer.ask("release 8810 8810")
    events, table = house.seen()
    check("and that is the one which is taken back", table == {}, (events, table))


def natpmp_refuses(house):
    answer = house.map()
    check(f"NAT-PMP: {house.options['natpmp']} is a refusal", answer == {"event": "refused", "code": "unavailable"} and
          only(house.seen()[0], "natpmp") != [], answer)


def neither(house):
    answer = house.map()
    check("no router: a refusal", answer == {"event": "refused", "code": "unavailable"}, answer)
    released = house.peer.ask("release 8810 8810")
    check("no router: giving back comes to an end", released == {"event": "released"}, released)
    house.seen()


def elsewhere(house):
    answer = house.map()
    events, table = house.seen()
    check(f"hostile: no request goes to somebody else ({sorted(house.options)[-1]})",
          only(events, "elsewhere") == [] and only(events, "search") != [], events)
    check("hostile: and no port is mapped", answer["event"] == "refused" and table == {}, answer)


def other_host_in_name(house):
    answer = house.map()
    events, _ = house.seen()
    check("hostile: an address that only begins like the router's is another one",
          answer["event"] == "refused" and only(events, "elsewhere") + only(events, "description") == [], events)


def hostile_description(house):
    answer = house.map()
    events, _ = house.seen()
    how = house.options["description"]
    code = "timeout" if how == "trickle" else "unavailable"
    check(f"hostile: a description that is {how} is a refusal ({code})",
          answer == {"event": "refused", "code": code} and only(events, "description") != [], (answer, events))


def hostile_flood(house):
    answer = house.map()
    events, _ = house.seen()
    wanted = GOOD if house.options["flood"] == "good" else {"event": "refused", "code": "unavailable"}
    check(f"hostile: the search ends though its answers do not ({house.options['flood']} ones)",
          answer == wanted and only(events, "search") != [], (answer, events))


def hostile_add(house):
    answer = house.map()
    events, _ = house.seen()
    check("hostile: an answer to AddPortMapping without an end is a refusal",
          answer == {"event": "refused", "code": "timeout"} and only(events, "add") != [], (answer, events))


def garbage_add(house):
    answer = house.map()
    events, _ = house.seen()
    check("hostile: garbage for an answer says nothing that we did not ask for",
          answer in (GOOD, {"event": "refused", "code": "unavailable"}) and len(only(events, "add")) == 1, (answer, events))


def hostile_delete(house):
    house.peer.ask("forward 8810")
    stopped = house.peer.ask("stop")
    events, _ = house.seen()
    check("hostile: an answer to DeletePortMapping without an end does not keep the node",
          stopped == {"event": "stopped"} and only(events, "delete") != [], events)


CASES = [
    (hostile_flood, {"flood": "garbage"}),
    (hostile_flood, {"flood": "good"}),
    (hostile_description, {"description": "trickle"}),
    (hostile_add, {"add": ["trickle"]}),
    (hostile_delete, {"delete": ["trickle"]}),
    (hostile_description, {"description": "garbage"}),
    (hostile_description, {"description": "huge"}),
    (garbage_add, {"add": ["garbage"]}),
    (elsewhere, {"location": f"http://{OTHER}:5000/root.xml"}),
    (elsewhere, {"control": f"http://{OTHER}:5000/control"}),
    (elsewhere, {"url_base": f"http://{OTHER}:5000"}),
    (other_host_in_name, {"location": f"http://{GATEWAY}0:5000/root.xml"}),
    (neither, {"igd": False}),
    (natpmp_alone, {"igd": False, "natpmp": {"external": 40000, "lifetime": 1200}}),
    (natpmp_behind_igd, {"add": [606], "natpmp": {}}),
    *((natpmp_refuses, {"add": [606], "natpmp": {"result": code}}) for code in range(1, 6)),
    (natpmp_refuses, {"add": [606], "natpmp": {"lifetime": 0}}),
    (maps_renews_and_releases, {}),
    (forwards, {}),
    (conflict, {"add": [718, 718]}),
    (all_taken, {"add": [718, 718, 718, 718]}),
    (last_taken, {"add": [718]}),
    (permanent, {"add": [725]}),
    (disconnected, {"connected": False}),
]


def run(number):
    case, options = CASES[number]
    try:
        with House(number, sys.argv[1], **json.loads(json.dumps(options))) as house:
            case(house)
    except (queue.Empty, OSError, subprocess.SubprocessError) as error:
        check(f"{case.__name__} {options}", False, repr(error))


def main():
    if os.geteuid() != 0 or not shutil.which("ip"):
        print("skipped: needs root and ip")
        return 77
    try:
        with House("try", "true"):
            pass
    except (OSError, subprocess.SubprocessError) as error:
        print(f"skipped: this machine gives no network namespaces: {error}")
        return 77
    # Nearly all of a case is waiting.
    with ThreadPoolExecutor(max_workers=8) as pool:
        list(pool.map(run, range(len(CASES))))
    print("all checks hold" if failures == 0 else f"{failures} checks fail")
    return 0 if failures == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
