"""Simulated Kubernetes clusters behind the real Kubernetes HTTP API.

One process serves several clusters; `kubectl`, the official clients and Kubernetes' own
conformance tests talk to them as to any other cluster. The road of a request reads in this order:

`server.py` (HTTP) -> `api.py` (the verbs) -> `codec.py`, `schema/`, `defaults.py`, `validation/`
(what an object must look like) -> `patches.py`, `apply.py` (how it changes) -> `store.py`
(resourceVersions and the watch log) -> `controllers/`, `scheduler.py` (what happens next).

Nothing of Pilothouse is imported here: to the portal a sandbox is a cluster like any other.
"""
