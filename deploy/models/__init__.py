"""Releases, rollouts with their steps and attempts, and operator intents."""

from deploy.models.release import Release
from deploy.models.rollout import Attempt, Intent, Rollout, RolloutStep

__all__ = ["Attempt", "Intent", "Release", "Rollout", "RolloutStep"]
