#!/usr/bin/env python3
"""One node alone, seen through its two doors: what the command line and the HTTP endpoint say about it.

  doors.py KITH
"""
import swarm


def status_for(node, host):
    """What GET /health answers to a client that wrote `host` into its URL."""
    connection = node.connect()
    connection.request("GET", "/health", headers={"Host": host})
    status = connection.getresponse().status
    connection.close()
    return status


def host_names(kith):
    """S51: the endpoint answers under its own address and the names in api.hosts, and under no other"""
    with swarm.Swarm(kith) as group:
        group.environment["KITH_API_HOSTS"] = "kith.example.org,localhost:9000"
        node = group.node("anna").create()
        own = node.status()["api_url"].removeprefix("http://").removesuffix("/v1")
        port = own.rsplit(":", 1)[1]
        for host in (own, f"localhost:{port}", "kith.example.org", f"KITH.example.org:{port}", "localhost:9000"):
            swarm.check(status_for(node, host) == 200, f"refused as {host}")
        for host in ("evil.example", f"evil.example:{port}", "localhost:9001", "x.kith.example.org"):
            swarm.check(status_for(node, host) == 403, f"answered as {host}")


if __name__ == "__main__":
    swarm.main(host_names)
