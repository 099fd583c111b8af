"""The replication manager: ReplicationControllers are ReplicaSets with a plainer selector.

Source: pkg/controller/replication/replication_controller.go, which is an adapter upstream too.
"""

from ..selectors import LabelTest, label_selector
from ..store import Object
from .replicaset import ReplicaSetController


class ReplicationManager(ReplicaSetController):
    component = "replication-controller"
    kind = "ReplicationController"
    storage = "replicationcontrollers"
    watches = (storage, "pods")

    def _selector(self, replica_set: Object) -> LabelTest:
        return label_selector({"matchLabels": replica_set["spec"].get("selector") or {}})

    def _status(self, replica_set: Object, active: list[Object], terminating: int) -> Object:
        status = super()._status(replica_set, active, terminating)
        del status["terminatingReplicas"]
        return status
