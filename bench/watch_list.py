"""Initial list of many pods: our watch against the client's typed models, in one run.

A static TLS server in its own process hands out generated pods (about 11 kB of JSON each, as
measured on clusters) in pages of 500. Each contender runs in a process of its own; its CPU seconds
and the growth of its resident memory over idle are read from the kernel. Prints a ratio.

    python -m bench.watch_list [--pods 10000]
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from tests.kube.faulty_apiserver import TOKEN, Exchange, FaultyApiserver

GOAL_CPU_SECONDS_PER_10_000 = 2.0
GOAL_GROWTH_MB_PER_10_000 = 50.0


def pod(number: int) -> dict[str, Any]:
    """A pod as a busy cluster has them: volumes, probes, env and managedFields included."""
    name = f"asr-{number // 500:03}-{number:06}"
    env = [{"name": f"SETTING_{n}", "value": f"value-{n}-" + "x" * 40} for n in range(20)]
    mounts = [{"name": f"volume-{n}", "mountPath": f"/mnt/volume-{n}"} for n in range(6)]
    fields = {f"f:{key}": {".": {}, f'k:{{"name":"{key}"}}': {}} for key in _WORDS}
    times = "2026-11-20T20:00:00Z"
    return {
        "metadata": {
            "name": name,
            "namespace": "speech",
            "uid": f"00000000-0000-4000-8000-{number:012}",
            "resourceVersion": str(1000 + number),
            "creationTimestamp": times,
            "labels": {"app": "asr", "pod-template-hash": "abc", "pilothouse.io/placement": "p"},
            "annotations": {f"example.com/note-{n}": "y" * 60 for n in range(6)},
            "ownerReferences": [
                {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "asr-abc", "uid": "rs",
                 "controller": True}
            ],
            "managedFields": [
                {"manager": manager, "operation": "Update", "apiVersion": "v1", "time": times,
                 "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": fields}}
                for manager in ("kube-controller-manager", "kubelet")
            ],
        },
        "spec": {
            "nodeName": f"node-{number % 100}",
            "containers": [
                {"name": side, "image": "registry.example/asr@sha256:" + "0" * 64, "env": env,
                 "volumeMounts": mounts, "terminationMessagePath": "/dev/termination-log",
                 "resources": {"requests": {"cpu": "500m", "memory": "1Gi"},
                               "limits": {"nvidia.com/gpu": "1"}},
                 "livenessProbe": {"httpGet": {"path": "/healthz", "port": 8000}},
                 "imagePullPolicy": "IfNotPresent"}
                for side in ("asr", "proxy")
            ],
            "volumes": [{"name": f"volume-{n}", "configMap": {"name": f"c-{n}"}} for n in range(6)],
            "tolerations": [{"key": f"taint-{n}", "operator": "Exists"} for n in range(5)],
        },
        "status": {
            "phase": "Running",
            "podIP": "10.1.2.3",
            "startTime": times,
            "conditions": [
                {"type": kind, "status": "True", "lastTransitionTime": times}
                for kind in ("PodScheduled", "Initialized", "ContainersReady", "Ready")
            ],
            "containerStatuses": [
                {"name": side, "ready": True, "restartCount": 0, "started": True,
                 "image": "registry.example/asr", "imageID": "sha256:" + "0" * 64,
                 "containerID": "containerd://" + "1" * 64,
                 "state": {"running": {"startedAt": times}}, "lastState": {}}
                for side in ("asr", "proxy")
            ],
        },
    }  # fmt: skip


_WORDS = [f"{a}{b}" for a in ("spec", "env", "volume", "probe") for b in range(9)]


def serve(count: int, ready: Connection) -> None:
    """The static server: pages made once, then handed out until the process is ended."""
    pages = []
    for start in range(0, count, 500):
        more = str(start + 500) if start + 500 < count else ""
        items = [pod(n) for n in range(start, min(start + 500, count))]
        meta = {"resourceVersion": "20000", "continue": more}
        listing = {"kind": "PodList", "apiVersion": "v1", "metadata": meta, "items": items}
        pages.append(json.dumps(listing, separators=(",", ":")).encode())

    def answer(exchange: Exchange) -> None:
        if exchange.query.get("watch") == "true":
            exchange.start_stream()
            exchange.wait()
        else:
            exchange.send(200, pages[int(exchange.query.get("continue") or 0) // 500])

    with FaultyApiserver(answer) as server:
        ready.send((server.endpoint, sum(map(len, pages))))
        threading.Event().wait()


def ours(endpoint: Any, count: int) -> Callable[[], object]:
    """The watch as `watch_clusters` runs it; done when the list's cursor is stored."""
    from fleet.kube.connect import gateway_for
    from fleet.kube.projections import WATCHED
    from fleet.kube.watch import ListWatch

    class Sink:
        """Counts what a database would store."""

        seen = 0

        def batch(self, changes: list[Any], resource_version: str) -> None:
            self.seen += len(changes)
            if resource_version:
                done.set()

        def state(self, state: str, detail: str) -> None:
            pass

        def drift(self, changes: list[Any]) -> None:
            pass

    done, sink = threading.Event(), Sink()
    watch = ListWatch(gateway_for(endpoint), WATCHED[0], sink)

    def work() -> object:
        threading.Thread(target=watch.run, daemon=True).start()
        assert done.wait(300) and sink.seen == count, sink.seen
        return watch

    return work


def typed(endpoint: Any, count: int) -> Callable[[], object]:
    """The client's own models, paged the same way, all kept as an informer would."""
    from kubernetes.client import ApiClient, Configuration, CoreV1Api  # the peer measured here

    configuration = Configuration(host=endpoint.server, ca_cert_data=endpoint.ca_pem)
    configuration.api_key["BearerToken"] = f"Bearer {TOKEN}"
    configuration.proxy = None
    api = CoreV1Api(ApiClient(configuration))

    def work() -> object:
        kept, token = [], ""
        while True:
            page = api.list_pod_for_all_namespaces(limit=500, _continue=token or None)
            kept += page.items
            token = page.metadata.var_continue
            if not token:
                assert len(kept) == count
                return kept

    return work


def measure(contender: Callable[..., Any], endpoint: Any, count: int, out: Connection) -> None:
    """In a process of its own: CPU seconds, wall seconds, memory held and at the peak in MB."""
    work = contender(endpoint, count)
    idle_mb, idle_cpu = resident_mb(), cpu_seconds()
    began = time.monotonic()
    kept = work()
    wall = time.monotonic() - began
    cpu = cpu_seconds() - idle_cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    out.send({"cpu_s": cpu, "wall_s": wall, "held_mb": resident_mb() - idle_mb,
              "peak_mb": peak - idle_mb})  # fmt: skip
    del kept


def cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def resident_mb() -> float:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize() / 2**20


def in_child(spawn: Any, target: Callable[..., None], *arguments: Any) -> tuple[Any, Any]:
    """Starts a process; returns it and the first thing it sends."""
    receiver, sender = spawn.Pipe(duplex=False)
    process = spawn.Process(target=target, args=(*arguments, sender), daemon=True)
    process.start()
    sender.close()
    return process, receiver.recv()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pods", type=int, default=10_000)
    count = parser.parse_args().pods
    spawn = multiprocessing.get_context("spawn")
    server, (endpoint, size) = in_child(spawn, serve, count)
    print(f"{count} pods, {size / count / 1000:.1f} kB each")
    found = {}
    for contender in (ours, typed):
        process, found[contender] = in_child(spawn, measure, contender, endpoint, count)
        process.join()
        figures = "  ".join(f"{key} {value:.1f}" for key, value in found[contender].items())
        print(f"{contender.__name__:>6}  {figures}")
    server.terminate()
    mine, peer = found[ours], found[typed]
    print(
        f"ratio  cpu {peer['cpu_s'] / mine['cpu_s']:.1f}x less  "
        f"memory held {peer['held_mb'] / max(mine['held_mb'], 0.1):.0f}x less"
    )
    scale = count / 10_000
    met = mine["cpu_s"] <= GOAL_CPU_SECONDS_PER_10_000 * scale
    met = met and mine["held_mb"] <= GOAL_GROWTH_MB_PER_10_000 * scale
    print("goal (<= 2 s CPU, <= 50 MB per 10,000 pods)", "met" if met else "MISSED")


if __name__ == "__main__":
    main()
