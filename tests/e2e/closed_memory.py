#!/usr/bin/env python3
"""P26: the memory of a running kith is closed: no core file, and no other program of the same user reads it.

  closed_memory.py [KITH]     default: src/app/kith of $KITH_BUILD

Prints "ok - ..." lines. The processes run without capabilities, since some of them open every process to root.
"""
import ctypes
import os
import resource
import signal
import subprocess
import sys

import swarm

PR_CAPBSET_DROP, CAPABILITIES_MAX = 24, 64
CORE_BYTES = 1 << 30
# ASan forbids core files by itself, which would hide that kith does not.
SANITIZER = {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":disable_coredump=0"}
# Of the files that reading another process's memory begins with: maps asks for the right to look, mem to attach.
READER = "import sys; open(f'/proc/{sys.argv[1]}/' + sys.argv[2], 'rb').read(1)"


def as_ordinary_user():
    """In a child before it becomes the program: core files are wanted, and root is nobody special."""
    for capability in range(CAPABILITIES_MAX):
        ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    wanted = CORE_BYTES if hard == resource.RLIM_INFINITY else min(hard, CORE_BYTES)
    resource.setrlimit(resource.RLIMIT_CORE, (wanted, hard))


class Serving:
    """`kith serve` in a folder of its own."""

    def __init__(self, kith, **environment):
        self.group = swarm.Swarm(kith)
        self.group.environment |= SANITIZER | environment
        self.node = self.group.node("home")

    def __enter__(self):
        with open(self.node.log, "ab") as log:
            self.node.process = subprocess.Popen(
                self.node.command("serve"), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=self.group.environment, preexec_fn=as_ordinary_user)
        swarm.until("the node answers", self.node.answers)
        return self

    def __exit__(self, *reason):
        self.group.__exit__(*reason)

    def opens(self, what):
        """Another program of the same user may open /proc/PID/`what`."""
        return subprocess.run([sys.executable, "-c", READER, str(self.node.process.pid), what],
                              stderr=subprocess.DEVNULL, preexec_fn=as_ordinary_user, check=False).returncode == 0

    def core_limit(self):
        return resource.prlimit(self.node.process.pid, resource.RLIMIT_CORE)


def no_reader(kith):
    """no other program of the same user reads the memory of kith serve, or attaches to it"""
    with Serving(kith) as serving:
        swarm.check(not serving.opens("maps"), "its memory map can be read")
        swarm.check(not serving.opens("mem"), "its memory can be read")


def no_core(kith):
    """kith serve that crashes leaves no core file"""
    if resource.getrlimit(resource.RLIMIT_CORE)[1] == 0:
        return  # then the system forbids it already, and nothing can be seen
    with Serving(kith) as serving:
        swarm.check(serving.core_limit() == (0, 0), f"its limit for core files is {serving.core_limit()}")
        serving.node.process.send_signal(signal.SIGABRT)
        _, status = os.waitpid(serving.node.process.pid, 0)
        serving.node.process.returncode = -signal.SIGABRT
        swarm.check(not os.WCOREDUMP(status), "it wrote a core file")


def opt_out(kith):
    """KITH_ALLOW_CORE=1 opens it to a debugger; another value does not"""
    with Serving(kith, KITH_ALLOW_CORE="1") as serving:
        swarm.check(serving.opens("maps"), "its memory map cannot be read: these tests see nothing")
    with Serving(kith, KITH_ALLOW_CORE="0") as serving:
        swarm.check(not serving.opens("maps"), "KITH_ALLOW_CORE=0 opened it")


def ends_cleanly(kith):
    """it ends with 0, also where LeakSanitizer must look at its memory"""
    with Serving(kith) as serving:
        code = serving.node.stop()
        swarm.check(code == 0, f"exit {code}: {serving.node.log.read_text(errors='replace')[-400:]}")


if __name__ == "__main__":
    swarm.main(no_reader, no_core, opt_out, ends_cleanly)
