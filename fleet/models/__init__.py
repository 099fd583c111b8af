"""Clusters, node pools, services, placements, and the cluster objects observed by the watcher."""

from fleet.models.cluster import Cluster, NodePool
from fleet.models.observed import ObservedObject, WatchCursor
from fleet.models.service import Placement, Service

__all__ = ["Cluster", "NodePool", "ObservedObject", "Placement", "Service", "WatchCursor"]
