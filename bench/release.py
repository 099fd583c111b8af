"""A release through the whole portal against `kubectl set image` and `rollout status`.

Both run in turn on the same real control plane at its default client limits (controller manager
20 queries a second, scheduler 50), in namespaces of their own, on Deployments alike. The portal is
the one `./pilothouse up` starts: REST, dispatcher, broker, worker, watcher, event stream. Prints
the ratio of the medians for each number of replicas.

    python -m bench.release [--replicas 3 30] [--rounds 5] [--raised-limits]
"""

import argparse
import hashlib
import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.controlplane.plane import Plane, binaries_directory
from tests.launcher.installation import running_portal
from tests.rest_client import RestClient


def kubectl(plane: Plane, *arguments: str, text: str = "") -> None:
    command = [str(binaries_directory() / "kubectl"), "--kubeconfig", str(plane.kubeconfig)]
    subprocess.run(
        [*command, *arguments],
        input=text,
        text=True,
        check=True,
        stdout=subprocess.DEVNULL,
        timeout=300,
    )


def deployment(name: str, replicas: int, image: str) -> dict[str, Any]:
    labels = {"app": name}
    container = {"name": name, "image": image}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }


def by_kubectl(plane: Plane, name: str, image: str) -> float:
    """Seconds from the new image to the end of `rollout status`."""
    began = time.monotonic()
    kubectl(plane, "-n", "by-kubectl", "set", "image", f"deploy/{name}", f"{name}={image}")
    kubectl(plane, "-n", "by-kubectl", "rollout", "status", f"deploy/{name}")
    return time.monotonic() - began


def by_portal(api: RestClient, placement: str, release: str) -> float:
    """Seconds from the request to the end, as the event stream tells it."""
    began = time.monotonic()
    rollout = api.made("/rollouts", release=release, placement=placement)
    ended = api.follow(rollout["id"])
    assert ended["state"] == "succeeded", ended["reason"]
    return time.monotonic() - began


def image_of(version: int) -> str:
    return f"registry.example/web@sha256:{hashlib.sha256(str(version).encode()).hexdigest()}"


def prepare(plane: Plane, api: RestClient) -> dict[str, Any]:
    """The plane registered, and namespaces for both."""
    for namespace in ("by-kubectl", "by-portal"):
        kubectl(plane, "create", "namespace", namespace)
    plane.add_nodes([f"node-{n}" for n in range(10)])
    return api.made(
        "/clusters", name="bench", server=plane.server, ca_pem=plane.ca_pem, token=plane.token
    )


def measure(plane: Plane, api: RestClient, cluster: str, replicas: int, rounds: int) -> None:
    name = f"web-{replicas}"
    manifest = deployment(name, replicas, name)
    team = api.get("/services", name="asr")["results"][0]["team"]
    service = api.made("/services", team=team, name=name)["id"]
    placement = api.made("/placements", service=service, cluster=cluster, namespace="by-portal")
    first = json.dumps(deployment(name, replicas, image_of(0)))
    kubectl(plane, "-n", "by-kubectl", "apply", "-f", "-", text=first)
    kubectl(plane, "-n", "by-kubectl", "rollout", "status", f"deploy/{name}")
    releases = [
        api.made(
            "/releases",
            service=service,
            version=f"1.{number}",
            manifests=[manifest],
            images={name: image_of(number)},
        )["id"]
        for number in range(rounds + 1)
    ]
    by_portal(api, placement["id"], releases[0])
    times: dict[str, list[float]] = {"kubectl": [], "portal": []}
    for number in range(1, rounds + 1):
        times["kubectl"].append(by_kubectl(plane, name, image_of(number)))
        times["portal"].append(by_portal(api, placement["id"], releases[number]))
    report(replicas, times)


def report(replicas: int, times: dict[str, list[float]]) -> None:
    middle = {who: statistics.median(taken) for who, taken in times.items()}
    ratio = middle["portal"] / middle["kubectl"]
    spread = ", ".join(f"{who} {min(t):.2f}-{max(t):.2f} s" for who, t in times.items())
    print(
        f"{replicas} replicas: kubectl {middle['kubectl']:.2f} s, "
        f"portal {middle['portal']:.2f} s, ratio {ratio:.2f} ({spread})",
        flush=True,
    )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--replicas", type=int, nargs="+", default=[3, 30])
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--raised-limits", action="store_true")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder, running_portal(Path(folder) / "var") as portal:
        made = portal.run(
            *("manage", "create_api_key", "admin", "--name", "bench"),
            *("--scope", "write", "--quiet"),
        )
        api = RestClient(f"http://127.0.0.1:{portal.port}", made.stdout.strip())
        with Plane(raised_limits=given.raised_limits) as plane:
            cluster = prepare(plane, api)
            for replicas in given.replicas:
                measure(plane, api, cluster["id"], replicas, given.rounds)


if __name__ == "__main__":
    main()
