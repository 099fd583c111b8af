"""How fast a sandbox is: 1,000 pods to Ready, and a change to the watch event that tells of it.

    python -m bench.sandbox_watch [pods]

Prints seconds, milliseconds and the memory of the process. The watch figure is taken by a second
client while the cluster idles, and again while pods start.
"""

import http.client
import json
import ssl
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from tests.sandbox.process import SandboxProcess, start_sandbox

CHANGES = 500
PATH = "/api/v1/namespaces/default/configmaps"


class Client:
    """One HTTPS connection with the cluster's token."""

    def __init__(self, sandbox: SandboxProcess) -> None:
        context = ssl.create_default_context(cadata=sandbox.ca_pem)
        host = sandbox.server.removeprefix("https://")
        self.connection = http.client.HTTPSConnection(host, context=context, timeout=60)
        self.headers = {"Authorization": f"Bearer {sandbox.token}"}

    def send(
        self, method: str, path: str, body: Any = None, media: str = "application/json"
    ) -> Any:
        raw = json.dumps(body) if body is not None else None
        headers = self.headers | {"Content-Type": media}
        self.connection.request(method, path, raw, headers)
        answer = json.loads(self.connection.getresponse().read())
        if answer.get("status") == "Failure":
            raise RuntimeError(answer["message"])
        return answer

    def watch(self, path: str) -> http.client.HTTPResponse:
        self.connection.request("GET", f"{path}?watch=true", headers=self.headers)
        return self.connection.getresponse()


def deployment(replicas: int) -> dict[str, Any]:
    labels = {"app": "bench"}
    container = {"name": "main", "image": "registry.example/app:1"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "bench"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }


def watch_latencies(sandbox: SandboxProcess, name: str, changes: int = CHANGES) -> list[float]:
    """Milliseconds from sending a change to reading its watch event."""
    writer, reader = Client(sandbox), Client(sandbox)
    stream = reader.watch(PATH)
    writer.send("POST", PATH, {"metadata": {"name": name}, "data": {"n": "-1"}})
    sent: dict[str, float] = {}
    seen: dict[str, float] = {}

    def read() -> None:
        while len(seen) < changes:
            line = stream.readline()
            obj = json.loads(line)["object"]
            if obj["metadata"].get("name") == name and obj["data"]["n"] != "-1":
                seen[obj["data"]["n"]] = time.perf_counter()

    thread = threading.Thread(target=read)
    thread.start()
    for number in range(changes):
        sent[str(number)] = time.perf_counter()
        patch = {"data": {"n": str(number)}}
        writer.send("PATCH", f"{PATH}/{name}", patch, "application/merge-patch+json")
        time.sleep(0.002)
    thread.join(60)
    return [(seen[number] - sent[number]) * 1000 for number in seen]


def shown(latencies: list[float]) -> str:
    cuts = statistics.quantiles(latencies, n=100)
    return f"p50 {cuts[49]:.1f} ms, p95 {cuts[94]:.1f} ms, p99 {cuts[98]:.1f} ms"


def seconds_to_ready(sandbox: SandboxProcess, pods: int) -> float:
    client = Client(sandbox)
    started = time.perf_counter()
    client.send("POST", "/apis/apps/v1/namespaces/default/deployments", deployment(pods))
    path = "/apis/apps/v1/namespaces/default/deployments/bench"
    while client.send("GET", path)["status"].get("readyReplicas", 0) < pods:
        time.sleep(0.1)
    return time.perf_counter() - started


def memory_mb(sandbox: SandboxProcess) -> int:
    assert sandbox.process is not None
    status = Path(f"/proc/{sandbox.process.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) // 1024


def main() -> None:
    pods = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    with tempfile.TemporaryDirectory() as folder:
        sandbox = start_sandbox(Path(folder), ["bench"], scenario="large", start_seconds=0.5)
        try:
            print(f"idle: {memory_mb(sandbox)} MB")
            print(f"watch, idle cluster: {shown(watch_latencies(sandbox, 'idle'))}")
            busy: list[float] = []
            thread = threading.Thread(
                target=lambda: busy.extend(watch_latencies(sandbox, "busy", 300))
            )
            thread.start()
            print(f"{pods} pods from nothing to Ready: {seconds_to_ready(sandbox, pods):.1f} s")
            thread.join()
            print(f"watch while they start: {shown(busy)}")
            print(f"watch with {pods} pods: {shown(watch_latencies(sandbox, 'after'))}")
            print(f"with {pods} pods: {memory_mb(sandbox)} MB")
        finally:
            sandbox.stop()


if __name__ == "__main__":
    main()
