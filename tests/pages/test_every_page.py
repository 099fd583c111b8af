"""What holds for every page: it answers, its links lead somewhere, nothing inline, no strangers."""

import re
from collections.abc import Iterator

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from tests.factories import make_cluster, make_placement, make_rollout
from tests.pages.conftest import World

ANYBODY = ("fleet", "clusters", "services", "rollouts", "audit", "search")


def pages(world: World) -> dict[str, str]:
    """Every page with its address."""
    ids = {"pk": world.cluster.pk}
    named = {"name": world.service.name}
    rollout = {"pk": world.live.pk}
    return {name: reverse(name) for name in (*ANYBODY, "cluster_new", "service_new")} | {
        "cluster": reverse("cluster", kwargs=ids),
        "cluster_credentials": reverse("cluster_credentials", kwargs=ids),
        "cluster_remove": reverse("cluster_remove", kwargs=ids),
        "service": reverse("service", kwargs=named),
        "service_edit": reverse("service_edit", kwargs=named),
        "placement_new": reverse("placement_new", kwargs=named),
        "placement_edit": reverse("placement_edit", kwargs={"pk": world.placement.pk}),
        "placement_remove": reverse("placement_remove", kwargs={"pk": world.placement.pk}),
        "releases": reverse("releases", kwargs=named),
        "release": reverse("release", kwargs={**named, "number": 2}),
        "release_new": reverse("release_new", kwargs=named),
        "roll_out": reverse("roll_out", kwargs=named),
        "placement_roll_back": reverse("placement_roll_back", kwargs={"pk": world.placement.pk}),
        "rollout": reverse("rollout", kwargs=rollout),
        "rollout_abort": reverse("rollout_act", kwargs={**rollout, "verb": "abort"}),
        "rollout_pause": reverse("rollout_act", kwargs={**rollout, "verb": "pause"}),
        "rollout_logs": reverse("rollout_logs", kwargs=rollout),
    }


def test_an_administrator_can_open_every_page(world: World) -> None:
    browser = world.browser(world.admin)
    answers = {name: browser.get(url).status_code for name, url in pages(world).items()}
    assert set(answers.values()) == {200}, answers


def test_every_link_on_every_page_leads_somewhere(world: World) -> None:
    browser = world.browser(world.admin)
    links = set()
    for url in pages(world).values():
        links |= set(links_on(browser.get(url).content.decode(), url))
    dead = {link: code for link in links if (code := browser.get(link).status_code) != 200}
    assert dead == {}
    assert len(links) > 25


def links_on(html: str, url: str) -> Iterator[str]:
    for link in re.findall(r'<a [^>]*href="([^"]+)"', html):
        link = link.replace("&amp;", "&")
        if link.startswith("?"):
            yield url.partition("?")[0] + link
        elif link.startswith("/"):
            yield link


def test_nothing_inline_stands_in_the_way_of_the_content_security_policy(world: World) -> None:
    browser = world.browser(world.admin)
    for name, url in [*pages(world).items(), ("sign_in", reverse("sign_in"))]:
        answer = browser.get(url, follow=True)
        html = answer.content.decode()
        assert not re.search(r"<style|<script(?![^>]* src=)|\sstyle=|\son[a-z]+=|hx-on", html), name
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy


def test_ids_are_unique_and_labels_name_a_control(world: World) -> None:
    browser = world.browser(world.admin)
    for name, url in pages(world).items():
        html = browser.get(url).content.decode()
        ids = re.findall(r'\sid="([^"]+)"', html)
        twice = {one for one in ids if ids.count(one) > 1} - {"why-not"}
        assert not twice, (name, twice)
        assert set(re.findall(r'<label[^>]* for="([^"]+)"', html)) <= set(ids), name


def test_without_signing_in_every_page_leads_to_the_sign_in(world: World, client: Client) -> None:
    for url in pages(world).values():
        answer = client.get(url)
        assert answer.status_code == 302
        assert answer.url.startswith(reverse("sign_in"))


def test_an_ended_session_takes_the_whole_page_to_the_sign_in(world: World, client: Client) -> None:
    """A swap of the sign-in form into a region of the page would confuse everybody."""
    answer = client.get(reverse("fleet") + "?part=live", headers={"HX-Request": "true"})
    assert answer.headers["HX-Redirect"] == reverse("sign_in")
    assert answer.content == b""


TEAM_ONLY = (
    "service", "service_edit", "placement_new", "placement_edit", "placement_remove", "releases",
    "release", "release_new", "roll_out", "placement_roll_back", "rollout", "rollout_abort",
    "rollout_logs",
)  # fmt: skip


@pytest.mark.parametrize("name", TEAM_ONLY)
def test_to_another_team_it_does_not_exist(world: World, name: str) -> None:
    assert world.browser(world.stranger).get(pages(world)[name]).status_code == 404


READ_ONLY_REFUSES = (
    "service_edit", "placement_new", "placement_edit", "placement_remove", "release_new",
    "roll_out", "placement_roll_back", "rollout_abort", "cluster_new", "cluster_credentials",
    "cluster_remove", "service_new",
)  # fmt: skip


@pytest.mark.parametrize("name", READ_ONLY_REFUSES)
def test_a_viewer_is_told_what_is_missing(world: World, name: str) -> None:
    answer = world.browser(world.viewer).get(pages(world)[name])
    assert answer.status_code == 403
    assert "This needs the" in answer.content.decode()


def test_nonsense_in_the_query_string_is_taken_calmly(world: World) -> None:
    browser = world.browser(world.admin)
    for name in ANYBODY:
        query = "?q=a%00b&sort=password&page=-7&state=x&region=%FF&verb=%00&placements=1"
        assert browser.get(reverse(name) + query).status_code == 200


QUERIES = {
    # Session, user, and the counts of the navigation are in each.
    "fleet": 18,
    "clusters": 13,
    "services": 10,
    "rollouts": 13,
    "audit": 9,
    "cluster": 16,
    "service": 16,
    "rollout": 16,
}


@pytest.mark.parametrize("name", QUERIES)
def test_a_page_asks_the_database_a_known_number_of_times(
    world: World, name: str, django_assert_num_queries
) -> None:
    browser = world.browser(world.operator)
    with django_assert_num_queries(QUERIES[name]):
        browser.get(pages(world)[name])


def test_more_rows_do_not_mean_more_queries(world: World) -> None:
    browser = world.browser(world.operator)
    for name in ("fleet", "rollouts", "services", "service"):
        before = count_queries(browser, pages(world)[name])
        grow(world)
        assert count_queries(browser, pages(world)[name]) == before, name


def count_queries(browser: Client, url: str) -> int:
    with CaptureQueriesContext(connection) as queries:
        browser.get(url)
    return len(queries)


def grow(world: World) -> None:
    """Another cluster with another placement and rollout of the same service."""
    placement = make_placement(world.service, make_cluster())
    make_rollout(placement, world.second, state="failed")


def test_every_user_sees_only_roles_of_their_own(world: World) -> None:
    html = world.browser(world.viewer).get(reverse("fleet")).content.decode()
    assert "speech" in html
    assert "elsewhere" not in html
