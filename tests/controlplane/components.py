"""Files and command lines of the programs that make up one test control plane."""

import base64
import json
from pathlib import Path
from typing import Any

import yaml

from tests.controlplane.certificates import Authority, signing_key
from tests.controlplane.processes import free_ports

ADMIN_TOKEN = "plane-admin-token"
VIEWER_TOKEN = "plane-viewer-token"
STAGES = Path(__file__).with_name("stages.yaml")
ISSUER = "https://kubernetes.default.svc"
RAISED_LIMITS = ["--kube-api-qps=500", "--kube-api-burst=1000"]


class Components:
    """Ports, certificates and flags; everything lies below `directory`."""

    def __init__(self, directory: Path, *, raised_limits: bool) -> None:
        self._directory = directory
        self._limits = RAISED_LIMITS if raised_limits else []
        self._etcd_port, self._peer_port, self._port, self._kubelet_port = free_ports(4)
        self._authority = Authority(f"plane-{self._port}")
        self.server = f"https://127.0.0.1:{self._port}"
        self.ca_pem = self._authority.pem
        self.kubeconfig = directory / "admin.kubeconfig"

    def _write(self, name: str, text: str) -> str:
        path = self._directory / name
        path.write_text(text)
        path.chmod(0o600)
        return str(path)

    def _path(self, name: str) -> str:
        return str(self._directory / name)

    def write_files(self) -> None:
        private, public = signing_key()
        server = self._authority.server("kubernetes.default.svc", "kubernetes")
        kubelet_client = self._authority.client("kube-apiserver", "system:masters")
        self._write("ca.crt", self.ca_pem)
        for name, pair in (("server", server), ("kubelet-client", kubelet_client)):
            self._write(f"{name}.crt", pair.certificate_pem)
            self._write(f"{name}.key", pair.key_pem)
        self._write("service-account.key", private)
        self._write("service-account.pub", public)
        self._write(
            "tokens.csv",
            f'{ADMIN_TOKEN},admin,admin,"system:masters"\n{VIEWER_TOKEN},viewer,viewer\n',
        )
        self._write("pods.log", "2026-01-01T00:00:00.000000000Z stdout F ready to serve\n")
        logs = {"logs": [{"logsFile": self._path("pods.log")}]}
        kwok = {"apiVersion": "kwok.x-k8s.io/v1alpha1", "kind": "ClusterLogs"}
        kwok |= {"metadata": {"name": "all"}, "spec": logs}
        self._write("kwok.yaml", STAGES.read_text() + "---\n" + yaml.safe_dump(kwok))
        self._write("admin.kubeconfig", json.dumps(self._admin_kubeconfig()))

    def _admin_kubeconfig(self) -> dict[str, Any]:
        """By client certificate, so both ways of signing in are in use."""
        admin = self._authority.client("admin", "system:masters")
        user = {
            "client-certificate-data": _base64(admin.certificate_pem),
            "client-key-data": _base64(admin.key_pem),
        }
        cluster = {"server": self.server, "certificate-authority-data": _base64(self.ca_pem)}
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "plane",
            "clusters": [{"name": "plane", "cluster": cluster}],
            "users": [{"name": "admin", "user": user}],
            "contexts": [{"name": "plane", "context": {"cluster": "plane", "user": "admin"}}],
        }

    def etcd(self) -> list[str]:
        client = f"http://127.0.0.1:{self._etcd_port}"
        peer = f"http://127.0.0.1:{self._peer_port}"
        return [
            "--unsafe-no-fsync",
            f"--data-dir={self._path('etcd')}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
        ]

    def apiserver(self) -> list[str]:
        return [
            f"--etcd-servers=http://127.0.0.1:{self._etcd_port}",
            "--bind-address=127.0.0.1",
            f"--secure-port={self._port}",
            f"--tls-cert-file={self._path('server.crt')}",
            f"--tls-private-key-file={self._path('server.key')}",
            f"--client-ca-file={self._path('ca.crt')}",
            f"--token-auth-file={self._path('tokens.csv')}",
            f"--kubelet-certificate-authority={self._path('ca.crt')}",
            f"--kubelet-client-certificate={self._path('kubelet-client.crt')}",
            f"--kubelet-client-key={self._path('kubelet-client.key')}",
            f"--service-account-key-file={self._path('service-account.pub')}",
            f"--service-account-signing-key-file={self._path('service-account.key')}",
            f"--service-account-issuer={ISSUER}",
            "--service-cluster-ip-range=10.0.0.0/16",
            "--authorization-mode=RBAC",
            # Nodes and pods of kwok have no kubelet to lift the taint or to mount tokens.
            "--disable-admission-plugins=ServiceAccount,TaintNodesByCondition",
        ]

    def controller_manager(self) -> list[str]:
        return [
            f"--kubeconfig={self.kubeconfig}",
            f"--service-account-private-key-file={self._path('service-account.key')}",
            f"--root-ca-file={self._path('ca.crt')}",
            "--leader-elect=false",
            "--secure-port=0",
            # kwok's nodes send no heartbeats; after the usual 40 s they would count as lost.
            "--node-monitor-grace-period=24h",
            *self._limits,
        ]

    def scheduler(self) -> list[str]:
        return [
            f"--kubeconfig={self.kubeconfig}",
            "--leader-elect=false",
            "--secure-port=0",
            *self._limits,
        ]

    def kwok(self) -> list[str]:
        return [
            f"--kubeconfig={self.kubeconfig}",
            f"--config={self._path('kwok.yaml')}",
            "--manage-all-nodes=true",
            "--node-lease-duration-seconds=0",
            "--node-ip=127.0.0.1",
            f"--node-port={self._kubelet_port}",
            f"--tls-cert-file={self._path('server.crt')}",
            f"--tls-private-key-file={self._path('server.key')}",
        ]


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
