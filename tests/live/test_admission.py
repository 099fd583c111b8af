"""Who may connect and to which topics: at the start, and for as long as the socket lives."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.utils import timezone

from portal.base import api_keys
from portal.base.models import ApiKey, Membership, User
from portal.live.consumer import FORBIDDEN, SIGNED_OUT, in_thread, live
from portal.live.relay import Relay
from tests import factories
from tests.live.conftest import (
    Communicator,
    Tab,
    emit,
    member_of_new_team,
    same_origin,
    session_cookie,
)

OpenTab = Callable[..., Any]
HOUR = 3600.0


async def connect(*headers: tuple[bytes, bytes]) -> tuple[bool, Any]:
    from portal.asgi import application

    return await Communicator(application, "/ws/live", headers=list(headers)).connect(timeout=10)


FOREIGN = [
    [(b"host", b"localhost")],
    [(b"host", b"localhost"), (b"origin", b"null")],
    [(b"host", b"localhost"), (b"origin", b"http://evil.example")],
    [(b"host", b"localhost:8000"), (b"origin", b"http://localhost:9999")],
    [(b"host", b"localhost"), (b"origin", b"http://localhost.evil.example")],
    [(b"host", b"localhost"), (b"origin", b"file://localhost")],
    [(b"host", b"localhost"), (b"origin", b"http://[broken")],
    [(b"host", b"rebound.example"), (b"origin", b"http://rebound.example")],
]


async def test_a_missing_or_foreign_origin_is_refused_before_anything_else(bus: Relay) -> None:
    cookie = await in_thread(lambda: session_cookie(factories.make_user()))
    assert (await connect((b"cookie", cookie), *same_origin()))[0] is True
    for headers in FOREIGN:
        assert (await connect((b"cookie", cookie), *headers))[0] is False, headers


async def test_a_trusted_public_address_may_differ_from_the_host(bus: Relay, settings: Any) -> None:
    settings.CSRF_TRUSTED_ORIGINS = ["https://portal.example", "https://*.ops.example"]
    host = (b"host", b"localhost")
    for origin in (b"https://portal.example", b"https://eu.ops.example"):
        assert (await connect(host, (b"origin", origin)))[0] is True
    for origin in (b"http://portal.example", b"https://xops.example"):
        assert (await connect(host, (b"origin", origin)))[0] is False


async def test_without_a_session_the_socket_is_accepted_and_closed_4401(bus: Relay) -> None:
    for cookie in (b"", b"sessionid=", b"sessionid=forged", b"sessionid=\xff; ;=\x00"):
        assert await _refusal((b"cookie", cookie), *same_origin()) == SIGNED_OUT


async def test_a_wrong_or_revoked_key_is_closed_4401_even_beside_a_good_session(
    bus: Relay,
) -> None:
    user = await in_thread(factories.make_user)
    cookie = await in_thread(session_cookie, user)
    key, token = await in_thread(factories.make_api_key, user)
    await in_thread(api_keys.revoke, key=key, actor=user)
    for presented in (f"Bearer {token}", "Bearer ph_no.such", "Bearer", "Basic dTpw"):
        headers = [(b"authorization", presented.encode()), (b"cookie", cookie)]
        assert await _refusal(*headers, *same_origin()) == SIGNED_OUT


async def _refusal(*headers: tuple[bytes, bytes]) -> int:
    from portal.asgi import application

    tab = await Tab(application, list(headers)).open()
    return await tab.close_code()


async def test_an_api_key_needs_no_origin(bus: Relay) -> None:
    from portal.asgi import application

    _, token = await in_thread(factories.make_api_key, None, ApiKey.Scope.READ)
    script = await Tab(application, [(b"authorization", f"Bearer {token}".encode())]).open()
    assert (await script.subscribe("fleet"))["type"] == "snapshot"
    await script.socket.disconnect()


async def test_topics_of_other_teams_and_of_nobody_are_refused_alike(tab: OpenTab) -> None:
    _, placement = await in_thread(member_of_new_team)
    rollout = await in_thread(factories.make_rollout, placement)
    stranger = await tab(await in_thread(factories.make_user))
    nothing, team_id = "0190c3c1-0000-7000-8000-000000000000", placement.service.team_id
    topics = [
        placement.topic, placement.service.topic, rollout.topic, f"team:{team_id}",
        f"placement:{nothing}", f"cluster:{nothing}", f"team:{nothing}", "placement:1", "cluster:",
        "fleet:", "fleet:x", "", ":", "secrets", f"CLUSTER:{placement.cluster_id}",
        f"cluster:{str(placement.cluster_id).upper()}", "cluster:\x00", "cluster:\ud800",
    ]  # fmt: skip
    for topic in topics:
        refused = {"type": "error", "code": FORBIDDEN, "ref": topic}
        assert await stranger.subscribe(topic) == refused
    assert (await stranger.subscribe(placement.cluster.topic))["type"] == "snapshot"


async def test_members_and_superusers_hear_every_topic_of_the_team(tab: OpenTab) -> None:
    member, placement = await in_thread(member_of_new_team)
    rollout = await in_thread(factories.make_rollout, placement)
    admin = await in_thread(factories.make_admin)
    for page in (await tab(member), await tab(admin)):
        for thing in (placement, placement.service, placement.cluster, rollout):
            assert (await page.subscribe(thing.topic))["type"] == "snapshot"
        team = f"team:{placement.service.team_id}"
        assert (await page.subscribe(team))["type"] == "snapshot"


async def test_what_a_team_owns_stays_hidden_on_topics_everybody_may_hear(tab: OpenTab) -> None:
    member, placement = await in_thread(member_of_new_team)
    inside, outside = await tab(member), await tab(await in_thread(factories.make_user))
    cluster, team = placement.cluster.topic, f"team:{placement.service.team_id}"
    for page in (inside, outside):
        await page.subscribe(cluster)
    before = await in_thread(emit, cluster, team, kind="rollout.changed")
    after = await in_thread(emit, cluster, kind="node.changed")
    assert [f["seq"] for f in await inside.frames_until(after)] == [before, after]
    assert [f["seq"] for f in await outside.frames_until(after)] == [after]
    await outside.send(op="sub", topic=cluster, since_seq=before - 1)
    assert (await outside.frame())["seq"] == after, "nor when it catches up"


async def test_leaving_the_team_ends_its_topics_at_once_and_leaves_the_others(
    tab: OpenTab,
) -> None:
    user, placement = await in_thread(member_of_new_team)
    page = await tab(user, live(check_seconds=HOUR))
    await page.subscribe(placement.topic)
    await page.subscribe("fleet")
    await in_thread(Membership.objects.filter(user=user).delete)
    assert await page.frame() == {"type": "error", "code": FORBIDDEN, "ref": placement.topic}
    await in_thread(emit, placement.topic, kind="pod.changed")
    seq = await in_thread(emit, "fleet")
    assert (await page.frame())["seq"] == seq


async def test_joining_a_team_opens_its_topics_on_the_same_socket(tab: OpenTab) -> None:
    _, placement = await in_thread(member_of_new_team)
    user = await in_thread(factories.make_user)
    page = await tab(user)
    assert (await page.subscribe(placement.topic))["code"] == FORBIDDEN
    team = placement.service.team
    await in_thread(Membership.objects.create, team=team, user=user)
    while (await page.subscribe(placement.topic))["type"] == "error":
        await asyncio.sleep(0.05)
    seq = await in_thread(emit, placement.topic, f"team:{team.pk}")
    assert (await page.frames_until(seq))[-1]["topic"] == placement.topic


@pytest.mark.parametrize("change", ["is_active", "password"])
async def test_a_deactivated_user_or_a_new_password_ends_the_socket_at_once(
    tab: OpenTab, change: str
) -> None:
    user = await in_thread(factories.make_user)
    page = await tab(user, live(check_seconds=HOUR))
    await page.subscribe("fleet")
    value = {"is_active": False, "password": "!"}[change]
    await in_thread(User.objects.filter(pk=user.pk).update, **{change: value})
    assert await page.close_code() == SIGNED_OUT


async def test_a_revoked_key_ends_its_socket_at_once(bus: Relay) -> None:
    key, token = await in_thread(factories.make_api_key)
    headers = [(b"authorization", f"Bearer {token}".encode())]
    script = await Tab(live(check_seconds=HOUR), headers).open()
    await script.subscribe("fleet")
    await in_thread(api_keys.revoke, key=key, actor=None)
    assert await script.close_code() == SIGNED_OUT


@pytest.mark.parametrize("end", ["signed out", "expired"])
async def test_the_end_of_the_session_is_noticed_by_the_periodic_check(
    tab: OpenTab, end: str
) -> None:
    page = await tab(await in_thread(factories.make_user), live(check_seconds=0.2))
    assert (await page.subscribe("fleet"))["type"] == "snapshot"
    if end == "signed out":
        await in_thread(Session.objects.all().delete)
    else:
        await in_thread(Session.objects.update, expire_date=timezone.now())
    assert await page.close_code() == SIGNED_OUT


def test_the_periodic_check_comes_within_thirty_seconds() -> None:
    from portal.live.consumer import CHECK_SECONDS

    assert CHECK_SECONDS < 30
