"""Signing in and out, and the colours a person chose."""

from django.test import Client
from django.urls import reverse

from tests.factories import PASSWORD
from tests.pages.conftest import World


def sign_in(client: Client, **given: str):
    return client.post(reverse("sign_in"), given)


def test_signing_in_leads_to_the_page_that_was_asked_for(world: World, client: Client) -> None:
    wanted = reverse("rollout", kwargs={"pk": world.live.pk})
    answer = sign_in(client, username="olga", password=PASSWORD, next=wanted)
    assert answer.url == wanted


def test_signing_in_never_leads_to_another_site(world: World, client: Client) -> None:
    answer = sign_in(client, username="olga", password=PASSWORD, next="https://evil.example/")
    assert answer.url == reverse("fleet")


def test_a_wrong_password_is_told_without_saying_which_part_was_wrong(
    world: World, client: Client
) -> None:
    known = sign_in(client, username="olga", password="wrong").content.decode()
    unknown = sign_in(client, username="nobody", password="wrong").content.decode()
    assert "do not fit together" in known
    assert "do not fit together" in unknown


def test_a_switched_off_account_hears_so_only_with_its_password(
    world: World, client: Client
) -> None:
    world.operator.is_active = False
    world.operator.save()
    assert "switched off" in sign_in(client, username="olga", password=PASSWORD).content.decode()
    assert "switched off" not in sign_in(client, username="olga", password="x").content.decode()


def test_signing_out_takes_a_post(world: World) -> None:
    browser = world.browser(world.operator)
    assert browser.get(reverse("sign_out")).status_code == 405
    assert browser.post(reverse("sign_out")).url == reverse("sign_in")
    assert browser.get(reverse("fleet")).status_code == 302


def test_the_chosen_colours_are_kept(world: World) -> None:
    browser = world.browser(world.operator)
    answer = browser.post(reverse("theme"), {"theme": "dark", "next": "/clusters/"})
    assert answer.url == "/clusters/"
    assert 'data-theme="dark"' in browser.get(reverse("fleet")).content.decode()
    browser.post(reverse("theme"), {"theme": "system"})
    assert "data-theme" not in browser.get(reverse("fleet")).content.decode()


def test_choosing_colours_leads_to_no_other_site_and_keeps_no_nonsense(world: World) -> None:
    browser = world.browser(world.operator)
    answer = browser.post(reverse("theme"), {"theme": '"><x', "next": "//evil.example/"})
    assert answer.url == reverse("fleet")
    assert "theme" not in answer.cookies
