"""The factories make rows that the database's own rules accept."""

import pytest

from deploy.models.rollout import State
from portal.base.models import Role
from tests import factories

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("state", State.values)
def test_a_rollout_can_be_made_in_every_state(state: str) -> None:
    rollout = factories.make_rollout(state=state)
    assert rollout.release.service == rollout.placement.service


def test_releases_of_one_service_are_numbered_upwards() -> None:
    first = factories.make_release()
    second = factories.make_release(first.service)
    assert [first.number, second.number] == [1, 2]
    assert first.digest != second.digest


def test_a_user_with_a_role_belongs_to_a_team() -> None:
    user = factories.make_user(role=Role.OPERATOR)
    assert user.memberships.get().role == Role.OPERATOR
