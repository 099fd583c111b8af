"""Strategies by name. Each is a pure module; the engine does what they decide."""

from deploy.strategies import rolling
from deploy.strategies.base import Strategy

STRATEGIES: dict[str, Strategy] = {"rolling": rolling}  # type: ignore[dict-item]
