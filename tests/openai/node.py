#!/usr/bin/env python3
"""The official OpenAI client (npm) against a real node: a swarm of one, with the built-in model.

  node.py KITH NODE_JS

Ends with 77 (skipped) when the client is not installed: `npm ci` in tests/openai.
"""
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))
import swarm  # noqa: E402  (the folder beside this one)

SKIPPED = 77
CLIENT_SECONDS_MAX = 600


def main():
    if len(sys.argv) != 3:
        raise SystemExit("usage: node.py KITH NODE_JS")
    if not (HERE / "node_modules/openai").exists():
        print("node.py: skipped, since the client is not installed (npm ci in tests/openai)")
        return SKIPPED
    with swarm.Swarm(sys.argv[1]) as group:
        node = group.node("anna", "encrypted_pipeline = true").create()
        node.run("models", "add", str(swarm.MODEL_FILE), "--name", "guide")
        swarm.until("the question can be answered", node.answerable)
        environment = os.environ | {"BASE_URL": node.status()["api_url"], "MODEL": "guide",
                                    "KEY": (node.state / "api.key").read_text().strip()}
        environment.pop("FIXTURE", None)
        done = subprocess.run([sys.argv[2], "client_test.mjs"], cwd=HERE, env=environment, timeout=CLIENT_SECONDS_MAX)
        if done.returncode == 0:
            swarm.check(node.stop() == 0, "the node did not stop cleanly")
        return done.returncode


if __name__ == "__main__":
    sys.exit(main())
