"""The one gateway to Kubernetes. Nothing else in the house imports the `kubernetes` package.

Doors: `connect` (who to talk to), `gateway` (calls), `watch` (list and watch), `errors`.
"""
