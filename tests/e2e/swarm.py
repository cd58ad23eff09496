"""tests/e2e/swarm.py: real nodes for the end-to-end tests: processes with state folders, identities and ports of
their own, and the two doors that people use: the command line and the OpenAI endpoint.

The nodes choose their ports (`listen 127.0.0.1:0`); `kith status --json` says which. Nothing here waits for a fixed
time: everything is asked for until it is so, at most PATIENCE_SECONDS. Only processes started here are ended, by pid.
"""
import contextlib
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
MODEL_FILE = ROOT / "models/guide/kith-guide.gguf"
PATIENCE_SECONDS = 120  # sanitizer builds on a busy machine are slow
STOP_SECONDS = 20
# Commands that only ask a running node, which tests do over and over: the product's binary (KITH_BINARY) asks where there
# is one, since a sanitizer build takes half a second to start. Everything else is done by the program under test.
LOOKS = {("status",), ("peers",), ("models", "list")}
NOT_SERVING, TRY_AGAIN, NOT_PERMITTED = 69, 75, 77  # src/app/exit_code.h


class Failure(Exception):
    """Something did not come as a test needs it; the text says what."""


def until(what, probe):
    """What `probe` returns, once that is true. Failure when it stays false."""
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        value = probe()
        if value:
            return value
        if time.monotonic() > end:
            raise Failure(f"waited {PATIENCE_SECONDS} s in vain until {what}")
        time.sleep(0.05)


class Done:
    """A command that has ended."""

    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    def json(self):
        try:
            return json.loads(self.out)
        except ValueError:
            raise Failure(f"no JSON (exit {self.code}): {self.out}{self.err}") from None


class Answer:
    """What came back over HTTP. `error` is OpenAI's error object, `pieces` are the texts of the events."""

    def __init__(self, status=0):
        self.status, self.pieces, self.error, self.finish, self.usage = status, [], None, None, None
        self.ended = False  # a stream said [DONE]

    @property
    def text(self):
        return "".join(self.pieces)


class Stream:
    """A streamed answer under way."""

    def __init__(self, connection, response):
        self.connection, self.response = connection, response
        self.answer = Answer(response.status)

    def next_event(self):
        """False at the end. Updates `answer`."""
        while True:
            line = self.response.readline()
            if not line:
                return False
            if line.startswith(b"data: "):
                break
        data = line[6:].strip()
        if data == b"[DONE]":
            self.answer.ended = True
            return True
        event = json.loads(data)
        if "error" in event:
            self.answer.error = event["error"]
            return True
        if event.get("usage"):
            self.answer.usage = event["usage"]
        for choice in event["choices"]:
            if choice["delta"].get("content"):
                self.answer.pieces.append(choice["delta"]["content"])
            self.answer.finish = choice.get("finish_reason") or self.answer.finish
        return True

    def first_piece(self):
        while not self.answer.pieces and not self.answer.error and self.next_event():
            pass
        return self.answer

    def rest(self):
        while self.next_event():
            pass
        self.close()
        return self.answer

    def close(self):
        self.response.close()
        self.connection.close()


class Node:
    def __init__(self, swarm, name, inference=""):
        self.swarm, self.name = swarm, name
        self.state = swarm.folder / name
        self.state.mkdir(mode=0o700)
        self.log = swarm.folder / f"{name}.log"
        self.listen = "127.0.0.1:0"
        self.process = None
        self.configure(inference)

    def configure(self, inference=""):
        """Takes effect at the next start."""
        config = self.state / "config.toml"
        config.touch(mode=0o600)
        config.write_text(f'[node]\nlisten = ["{self.listen}"]\n\n[api]\nport = 0\n\n[inference]\nthreads = 1\n'
                          f"{inference}\n")

    # ---- the command line

    def command(self, *words):
        return [str(self.swarm.kith), "--config-dir", str(self.state), *words]

    def run(self, *words, env=None, check=True):
        command = self.command(*words)
        if tuple(word for word in words if word != "--json") in LOOKS:
            command[0] = str(self.swarm.looker)
        done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL,
                              timeout=PATIENCE_SECONDS, env=self.swarm.environment | (env or {}))
        done = Done(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))
        if check and done.code != 0:
            raise Failure(f"{self.name}: kith {' '.join(words)} ended with {done.code}: {done.err}")
        return done

    def ask_json(self, *words):
        return self.run(*words, "--json").json()

    def run_in_background(self, *words):
        return subprocess.Popen(self.command(*words), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, env=self.swarm.environment)

    # ---- the process

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command("serve"), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env=self.swarm.environment)
        until(f"{self.name} answers", self.answers)
        return self

    def answers(self):
        if self.process.poll() is not None:
            raise Failure(f"{self.name} ended with {self.process.returncode}: "
                          + self.log.read_text(errors="replace")[-1500:])
        return self.run("status", "--json", check=False).code == 0

    def status(self):
        return self.ask_json("status")

    def keep_port(self):
        """From the next start on the node listens where it listens now, as a real one does."""
        parts = self.status()["listening"][0].split("/")  # /ip4/127.0.0.1/tcp/PORT/p2p/...
        self.listen = f"{parts[2]}:{parts[4]}"
        self.configure()

    def freeze(self):
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        """The exit status of a node that was asked to stop; it must not need force."""
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        return self.process.wait(STOP_SECONDS)

    def end(self):
        """For clearing up: whatever it takes."""
        if self.process and self.process.poll() is None:
            try:
                self.stop()
            except subprocess.TimeoutExpired:
                self.kill()

    # ---- the swarm

    def create(self, name="home"):
        self.run("create", name)
        return self.start()

    def token(self, *options):
        return self.ask_json("invite", "create", *options)["token"]

    def join(self, token, check=True):
        return self.run("join", env={"KITH_INVITE_TOKEN": token}, check=check)

    def sees(self, *others):
        """Sessions stand with all of `others`."""
        wanted = {other.status()["node_id"] for other in others}
        up = {peer["node_id"] for peer in self.ask_json("peers")["peers"] if peer["session"]}
        return wanted <= up

    def kv_bytes(self):
        return int(self.status()["kv_cache_bytes"])

    # ---- models

    def model(self, name="guide"):
        for model in self.ask_json("models", "list")["models"]:
            if model["name"] == name:
                return model
        return None

    def fetch(self, first, last, name="guide"):
        until(f"{self.name} has fetched shards {first}-{last}", lambda: self.run(
            "models", "fetch", name, "--shards", f"{first}-{last}", check=False).code == 0)

    def drop(self, first, last, name="guide"):
        until(f"{self.name} has dropped shards {first}-{last}", lambda: self.run(
            "models", "drop", name, "--shards", f"{first}-{last}", check=False).code == 0)

    def answerable(self):
        model = self.model()
        return bool(model and model["answerable"])

    # ---- the OpenAI endpoint

    def connect(self):
        host, port = self.status()["api_url"].removeprefix("http://").removesuffix("/v1").split(":")
        return http.client.HTTPConnection(host, int(port), timeout=PATIENCE_SECONDS)

    def post(self, question, stream, **options):
        messages = question if isinstance(question, list) else [{"role": "user", "content": question}]
        body = {"model": "guide", "messages": messages, "stream": stream, "temperature": 0, "max_tokens": 96}
        if stream:
            body["stream_options"] = {"include_usage": True}
        connection = self.connect()
        connection.request("POST", "/v1/chat/completions", json.dumps(body | options), {
            "Content-Type": "application/json", "Authorization": f"Bearer {(self.state / 'api.key').read_text().strip()}"})
        return connection, connection.getresponse()

    def stream(self, question, **options):
        connection, response = self.post(question, True, **options)
        stream = Stream(connection, response)
        if response.status != 200:
            stream.answer.error = json.loads(response.read()).get("error")
        return stream

    def ask(self, question, **options):
        """A whole answer, not streamed."""
        connection, response = self.post(question, False, **options)
        body = json.loads(response.read())
        connection.close()
        answer = Answer(response.status)
        answer.error = body.get("error")
        if not answer.error:
            answer.pieces = [body["choices"][0]["message"]["content"]]
            answer.finish, answer.usage = body["choices"][0]["finish_reason"], body["usage"]
        return answer


class Swarm:
    """A folder with nodes in it. Use as a context: at the end all nodes are stopped and the folder is gone."""

    def __init__(self, kith):
        self.kith = Path(kith).resolve()
        product = os.environ.get("KITH_BINARY")
        self.looker = Path(product) if product and Path(product).exists() else self.kith
        self.folder = Path(tempfile.mkdtemp(prefix="kith-e2e-"))
        self.environment = {name: value for name, value in os.environ.items()
                            if not name.startswith(("KITH_", "PROGRESSPALS_")) or name == "KITH_SABOTAGE"}
        self.nodes = []

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        for node in self.nodes:
            node.end()
            if kind:
                lines = node.log.read_text(errors="replace").splitlines()[-15:] if node.log.exists() else []
                print("\n".join([f"---- {node.name}", *lines]), file=sys.stderr)
        shutil.rmtree(self.folder, ignore_errors=True)

    def node(self, name, inference=""):
        node = Node(self, name, inference)
        self.nodes.append(node)
        return node

    def member(self, name, operator):
        node = self.node(name)
        node.join(operator.token())
        return node.start()


def boomerang(swarm, inference="encrypted_pipeline = true"):
    """An operator with both ends of the model, anna and ben with half of the middle each."""
    operator = swarm.node("operator", inference).create()
    anna, ben = swarm.member("anna", operator), swarm.member("ben", operator)
    operator.run("models", "add", str(MODEL_FILE), "--name", "guide")
    last = operator.model()["shards_count"] - 1
    if last < 3:
        raise Failure("the model has fewer than four shards")
    half = (last - 1) // 2
    anna.fetch(1, half)
    ben.fetch(half + 1, last - 1)
    operator.drop(1, last - 1)
    until("the question can be answered", operator.answerable)
    until("anna and ben see each other", lambda: anna.sees(ben))
    return operator, anna, ben, last


def main(*tests):
    """Runs `tests`, each a function of the path of kith; prints one line per check.

    The path is the one argument; without it, as tools/claims runs a script, src/app/kith of the folder KITH_BUILD."""
    build = os.environ.get("KITH_BUILD")
    if len(sys.argv) > 2 or (len(sys.argv) == 1 and not build):
        raise SystemExit(f"usage: {Path(sys.argv[0]).name} KITH")
    kith = sys.argv[1] if len(sys.argv) == 2 else str(Path(build) / "src/app/kith")
    # Ctrl-C and ctest's time-out both end in the clearing up of Swarm.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    failed = 0
    for test in tests:
        with contextlib.suppress(BrokenPipeError):
            started = time.monotonic()
            try:
                test(kith)
                print(f"ok - {test.__doc__.splitlines()[0]} ({time.monotonic() - started:.1f} s)", flush=True)
            except (Failure, AssertionError, subprocess.TimeoutExpired, OSError) as error:
                failed += 1
                print(f"not ok - {test.__doc__.splitlines()[0]}: {type(error).__name__}: {error}", flush=True)
    sys.exit(1 if failed else 0)


def check(good, sentence):
    if not good:
        raise Failure(sentence)
