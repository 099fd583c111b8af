"""Rollouts before an operator's eyes: no reload, no complaint of the browser."""

import os
import re
import signal
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Operator
from tests.launcher.installation import Installation

pytestmark = pytest.mark.browser

# What a browser says by itself while a server is away.
AWAY = re.compile(
    r"WebSocket connection to .* failed|net::ERR_|Failed to load resource"
    r"|htmx:sendError|htmx:afterRequest"
)


def remember_this_document(operator: Operator) -> None:
    operator.page.evaluate("window.sameDocument = true")


def is_the_same_document(operator: Operator) -> bool:
    return operator.page.evaluate("window.sameDocument === true")


def test_a_release_is_started_and_watched_to_its_end_without_a_reload(operator: Operator) -> None:
    page = operator.page
    operator.plan_release("1.5.0", "eu-west-1")
    expect(page.get_by_role("heading", name="eu-west-1: 1.4.0 → 1.5.0")).to_be_visible()
    page.get_by_label("Reason").fill("Longer recordings")
    page.get_by_role("button", name="Release 1.5.0 to 1 placement").click()
    page.wait_for_url("**/rollouts/**")
    remember_this_document(operator)

    operator.state("Succeeded")
    expect(page.locator("#rollout-pods li.new[data-tone=good]")).to_have_count(2)
    expect(page.locator("#rollout-pods li.old")).to_have_count(0)
    expect(page.locator("#rollout-traffic")).to_contain_text("1.5.0 · 100 % · 2 pods")
    expect(page.locator("#rollout-plan li[data-state=done]")).to_have_count(4)
    expect(page.locator(".sidebar a[aria-current]")).to_contain_text("Releases")
    assert is_the_same_document(operator)


def test_a_crashing_release_is_aborted_by_hand_in_production(operator: Operator) -> None:
    page = operator.page
    operator.plan_release("1.6.0-crash", "us-east-1")
    start = page.get_by_role("button", name="Release 1.6.0-crash to 1 placement")
    expect(start).to_be_disabled()
    page.get_by_label("Type asr to confirm").fill("asr")
    start.click()
    page.wait_for_url("**/rollouts/**")
    remember_this_document(operator)
    operator.state("Progressing")
    expect(page.locator("#rollout-pods li.new[data-tone=bad]")).to_have_count(1)
    expect(page.locator("#rollout-next")).to_contain_text("CrashLoopBackOff")

    page.get_by_role("link", name="Abort, return to 1.4.0").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("us-east-1 (Production)")
    assert is_the_same_document(operator)
    sure = dialog.get_by_role("button", name="Abort, return to 1.4.0")
    expect(sure).to_be_disabled()
    dialog.get_by_label("Type asr to confirm").fill("asr")
    dialog.get_by_label("Reason").fill("It crashes")
    sure.click()

    operator.state("Aborted")
    expect(page.locator("#rollout-traffic")).to_contain_text("1.4.0 · 100 % · 2 pods")
    expect(page.locator("#rollout-next")).to_contain_text("It crashes")


def test_the_log_of_a_pod_can_be_read(operator: Operator) -> None:
    page = operator.page
    operator.open("/rollouts/?cluster=eu-west-1")
    page.locator("#rollout-rows a.strong").first.click()
    page.get_by_role("button", name="Read the last 200 lines").click()
    expect(page.locator("pre.logs")).not_to_be_empty()


def test_a_page_recovers_from_a_restart_of_the_server(
    portal: Installation, sign_in: Callable[..., Operator]
) -> None:
    watcher, other = sign_in(), sign_in()
    page = watcher.page
    watcher.open("/rollouts/?cluster=eu-west-1")
    dot = page.locator("[data-live-dot]")
    expect(dot).to_have_attribute("data-state", "live")
    remember_this_document(watcher)

    first = portal.recorded()["web"]
    os.kill(first.pid, signal.SIGKILL)
    expect(dot).not_to_have_attribute("data-state", "live")
    expect(dot).to_have_attribute("data-state", "live")
    assert portal.recorded()["web"] != first

    other.open("/services/asr/")
    other.page.get_by_role("link", name="Roll back").first.click()
    other.page.get_by_role("button", name="Roll back").click()
    newest = page.locator("#rollout-rows tbody tr").first
    expect(newest).to_contain_text("1.5.0 → 1.4.0")
    expect(newest).to_contain_text("Succeeded")
    assert is_the_same_document(watcher)
    unexpected = [line for line in watcher.complaints if not AWAY.search(line)]
    assert unexpected == []
