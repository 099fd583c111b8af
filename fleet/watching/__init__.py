"""The cluster watcher: follows every registered cluster and feeds the inventory.

One process leads a cluster at a time, by an advisory lock; more processes stand by and take over
when it goes. A cluster has a thread per kind and one for its pulse, so a dead cluster keeps nobody
waiting but itself. All state is in the database: a restart resumes from the stored cursors.
"""

from fleet.watching.watcher import Watcher

__all__ = ["Watcher"]
