"""From a pod's change to the browser: what the portal adds to a plain watch on the same API server.

Pods of a placement are made ready and unready in turn; a raw watch and a WebSocket of the running
portal (watcher, database, relay, socket) both wait for each change. Prints the added time, and the
ratio of the socket's delay to the watch's, both counted from the moment the change was sent.

    python -m bench.pod_to_frame [--changes 200]
"""

import argparse
import base64
import json
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml
from urllib3.exceptions import HTTPError
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.conformance.client import Client
from tests.launcher.installation import Installation, running_portal
from tests.rest_client import RestClient

PODS = "/api/v1/namespaces/default/pods"
COUNT = 20
PAUSE_SECONDS = 0.05  # each pod changes once a second: more often, changes are merged on purpose
Seen = dict[tuple[str, bool, int], float]


def pod(number: int, placement: str) -> dict[str, Any]:
    labels = {"bench": "pod-to-frame", "pilothouse.io/placement": placement}
    manual = {"sandbox.pilothouse.io/readiness": "manual"}
    container = {"name": "c", "image": "registry.example/c:1"}
    meta = {"name": f"bench-{number}", "labels": labels, "annotations": manual}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": meta,
        "spec": {"containers": [container]},
    }


class Stopwatch:
    """First sight of each change, by pod and readiness; a pod's changes are counted."""

    def __init__(self) -> None:
        self.at: Seen = {}
        self._last: dict[str, bool] = {}
        self._count: dict[str, int] = {}

    def saw(self, name: str, ready: bool) -> None:
        if self._last.get(name, False) != ready:
            self._last[name] = ready
            self._count[name] = self._count.get(name, 0) + 1
            self.at[name, ready, self._count[name]] = time.monotonic()


def by_watch(client: Client, seen: Stopwatch) -> None:
    with suppress(HTTPError):  # the portal stops when the figures are in
        for event in client.watch(PODS, seconds=120, labelSelector="bench=pod-to-frame"):
            conditions = event["object"].get("status", {}).get("conditions", [])
            ready = any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
            seen.saw(event["object"]["metadata"]["name"], ready)


def by_socket(address: str, key: str, topic: str, seen: Stopwatch) -> None:
    headers = {"Authorization": f"Bearer {key}"}
    with suppress(ConnectionClosed), connect(address, additional_headers=headers) as socket:
        socket.send(json.dumps({"op": "sub", "topic": topic, "since_seq": None}))
        for frame in map(json.loads, socket):
            if frame["type"] == "ack?":
                socket.send(json.dumps({"op": "ack", "seq": frame["seq"]}))
            elif frame["type"] == "event" and frame["kind"] == "pod.changed":
                seen.saw(frame["patch"]["name"], frame["patch"]["ready"])


def change(client: Client, changes: int) -> Iterator[tuple[str, bool, int, float]]:
    for number in range(changes):
        name, turn = f"bench-{number % COUNT}", number // COUNT
        ready = turn % 2 == 0
        conditions = [{"type": "Ready", "status": str(ready)}]
        sent = time.monotonic()
        patch = {"status": {"phase": "Running", "conditions": conditions}}
        assert client.strategic_patch(f"{PODS}/{name}/status", patch).status == 200
        yield name, ready, turn + 1, sent
        time.sleep(PAUSE_SECONDS)


def client_of(kubeconfig: Path) -> Client:
    config = yaml.safe_load(kubeconfig.read_text())
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
    return Client(cluster["server"], authority, user["token"])


def measure(portal: Installation, changes: int) -> None:
    made = portal.run("manage", "create_api_key", "admin", "--name", "bench", "--quiet")
    key = made.stdout.strip()
    api = RestClient(f"http://127.0.0.1:{portal.port}", key)
    [placement] = [p for p in api.get("/placements")["results"] if p["cluster_name"] == "eu-west-1"]
    client = client_of(portal.var / "kubeconfigs" / "eu-west-1.yaml")
    for number in range(COUNT):
        assert client.post(PODS, pod(number, placement["id"])).status == 201
    watch, socket = Stopwatch(), Stopwatch()
    address = f"ws://127.0.0.1:{portal.port}/ws/live"
    topic = f"placement:{placement['id']}"
    threading.Thread(target=by_watch, args=(client, watch), daemon=True).start()
    threading.Thread(target=by_socket, args=(address, key, topic, socket), daemon=True).start()
    time.sleep(3)
    sent = list(change(client, changes))
    time.sleep(2)
    report(sent, watch.at, socket.at)


def report(sent: list[tuple[str, bool, int, float]], watch: Seen, socket: Seen) -> None:
    both = [s for s in sent if s[:3] in watch and s[:3] in socket]
    plain = sorted(watch[s[:3]] - s[3] for s in both)
    whole = sorted(socket[s[:3]] - s[3] for s in both)
    added = sorted(socket[s[:3]] - watch[s[:3]] for s in both)
    print(f"{len(both)} of {len(sent)} changes seen by both")
    for title, share in (("p50", 0.5), ("p99", 0.99)):
        at = min(int(len(both) * share), len(both) - 1)
        print(
            f"{title}: watch {plain[at] * 1000:.1f} ms, frame {whole[at] * 1000:.1f} ms, "
            f"ratio {whole[at] / plain[at]:.1f}, added {added[at] * 1000:.1f} ms"
        )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--changes", type=int, default=200)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder, running_portal(Path(folder) / "var") as portal:
        measure(portal, given.changes)


if __name__ == "__main__":
    main()
