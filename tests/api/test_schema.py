"""The API's own description: complete, valid, and true to what is answered."""

from types import SimpleNamespace
from typing import Any

import pytest
from django.core.management import call_command
from rest_framework.test import APIClient

from deploy.api import RolloutDetail
from deploy.projections import rollout_projection
from deploy.shapes import RolloutShape
from fleet.projections import cluster_projection
from fleet.shapes import ClusterShape
from tests.api.conftest import V1


def test_the_description_is_valid_and_complete(tmp_path: Any) -> None:
    file = tmp_path / "schema.yaml"
    call_command("spectacular", validate=True, fail_on_warn=True, file=str(file))
    assert "/api/v1/rollouts/{id}/pause" in file.read_text()


def test_the_shapes_are_those_of_the_projections(
    operator: APIClient, world: SimpleNamespace
) -> None:
    assert set(RolloutShape().fields) == set(rollout_projection(world.ended))
    assert set(ClusterShape().fields) == set(cluster_projection(world.cluster))
    shown = operator.get(f"{V1}/rollouts/{world.ended.pk}").json()
    assert set(RolloutDetail().fields) == set(shown)
    for nested in ("service", "cluster", "release", "explanation"):
        assert set(RolloutShape().fields[nested].fields) == set(shown[nested])


@pytest.mark.parametrize("name", ["clusters", "rollouts", "me", "schema"])
def test_the_root_leads_everywhere(root: APIClient, name: str) -> None:
    answer = root.get(f"{V1}/")
    assert root.get(answer.json()[name]).status_code == 200
    assert answer["Link"] == f'<{answer.json()["schema"]}>; rel="service-desc"'
