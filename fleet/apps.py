"""The fleet room: clusters, pools, services, placements and what is observed of them."""

from django.apps import AppConfig


class FleetConfig(AppConfig):
    name = "fleet"
    verbose_name = "Fleet"
