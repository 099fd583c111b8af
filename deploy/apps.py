"""The deploy room: releases, rollouts and the engine that carries them out."""

from django.apps import AppConfig


class DeployConfig(AppConfig):
    name = "deploy"
    verbose_name = "Delivery"
