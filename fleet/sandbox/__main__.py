"""`python -m fleet.sandbox`: run simulated clusters until SIGTERM or SIGINT."""

import argparse
import asyncio
import gc
import logging
import signal
import socket
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from . import pki, scenarios
from .clock import Clock
from .cluster import Cluster, PortTaken, identity_of
from .database import Database


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m fleet.sandbox", description=__doc__)
    add = parser.add_argument
    add("--state", type=Path, required=True, metavar="DIR", help="where clusters are remembered")
    add(
        "--kubeconfigs",
        type=Path,
        required=True,
        metavar="DIR",
        help="where NAME.yaml (and NAME-readonly.yaml) is written for every cluster, mode 0600",
    )
    add(
        "--cluster",
        action="append",
        required=True,
        metavar="NAME[:PORT]",
        help="a cluster to serve, repeatable; without a port it keeps one of its own",
    )
    add(
        "--scenario",
        default="small",
        metavar="FILE|NAME",
        help=f"nodes and pod behaviour: a YAML file or one of {', '.join(scenarios.BUILT_IN)}",
    )
    add("--host", default="127.0.0.1", help="the IP address to listen on")
    add("--start-seconds", type=float, help="time a pod takes from scheduled to running")
    add(
        "--manual-readiness",
        action="store_true",
        help="pods become Ready only when somebody patches pods/status",
    )
    return parser.parse_args(arguments)


def _free_port(host: str) -> int:
    with closing(socket.socket()) as probe:
        probe.bind((host, 0))
        return probe.getsockname()[1]


def _cluster(text: str, options: argparse.Namespace, database: Database, clock: Clock) -> Cluster:
    name, _, port = text.partition(":")
    if not name or (port and not port.isdigit()):
        raise scenarios.ScenarioError(f"--cluster {text}: expected NAME or NAME:PORT")
    scenario = scenarios.load(options.scenario, name)
    changes: dict[str, object] = {}
    if options.start_seconds is not None:
        changes["start_seconds"] = options.start_seconds
    if options.manual_readiness:
        changes["readiness"] = "manual"
    scenario = replace(scenario, pods=replace(scenario.pods, **changes))
    identity = identity_of(database, name, int(port or 0), _free_port(options.host))
    return Cluster(identity, database, scenario, clock)


async def run(options: argparse.Namespace) -> None:
    """Serve until a signal; raises PortTaken or ScenarioError before anything is ready."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    database, clock = Database(options.state), Clock()
    clusters: list[Cluster] = []
    try:
        for text in options.cluster:
            cluster = _cluster(text, options, database, clock)
            clusters.append(cluster)
            server = await cluster.serve(options.host)
            for suffix, read_only in (("", False), ("-readonly", True)):
                path = options.kubeconfigs / f"{cluster.name}{suffix}.yaml"
                pki.write_private(path, cluster.kubeconfig(server, read_only=read_only))
            print(f"ready {cluster.name} {server}", flush=True)
        await stopped.wait()
    finally:
        for cluster in clusters:
            await cluster.stop()
        database.close()


def main(arguments: list[str] | None = None) -> int:
    # Objects are plain JSON without cycles: full collections would only stop the world.
    gc.set_threshold(50_000, 50, 100)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")
    try:
        asyncio.run(run(_arguments(arguments)))
    except (PortTaken, scenarios.ScenarioError) as error:
        print(f"sandbox: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
