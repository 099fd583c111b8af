"""live.js in a real browser: a page that moves by itself and is honest about what it knows."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from playwright.async_api import Page, Route, WebSocketRoute, async_playwright, expect

from fleet.models import Placement
from portal.live.consumer import in_thread
from tests.live.conftest import Daphne, emit, member_of_new_team, session_cookie

pytestmark = pytest.mark.browser
CHROMIUM = "/usr/bin/chromium"
# The page is put in by Playwright, so Chromium does not know that it came from this machine.
FLAGS = ["--no-sandbox", "--disable-features=LocalNetworkAccessChecks"]
CSP = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:"
HTML = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Live</title>
<link rel="icon" href="data:,">
<meta name="htmx-config" content='{"allowEval":false,"includeIndicatorStyles":false}'>
<script src="/static/vendor/htmx-2.0.11.min.js" defer></script>
<script src="/static/portal/live.js" type="module"></script></head>
<body>
<span data-live-dot><span data-live-word></span><span data-live-seq></span>
<span data-live-lag></span></span>
<section data-live-topic="TOPIC">
<p data-object="rollout:7" data-state-from="state"><b data-field="release.version">1.0</b>
<time data-field-time="started_at" data-ago></time></p>
<ul data-list="pod"><template><li data-state-from="phase"><b data-field="name"></b></li></template>
<li data-object="pod:old">old</li></ul>
</section>
<div id="region" data-refresh-on="rollout" hx-get="/part" hx-trigger="refresh">first</div>
</body></html>"""


class Screen:
    """One page on a placement, with everything the browser complained about."""

    def __init__(self, page: Page, placement: Placement, server: Daphne) -> None:
        self.page, self.topic, self.server = page, placement.topic, server
        self.complaints: list[str] = []
        self.refreshes, self.version = 0, "1.0"
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", self._note)

    def _note(self, message: Any) -> None:
        # The browser itself reports each refused connection; nothing else may complain.
        refused = "ERR_CONNECTION" in message.text or "WebSocket connection to" in message.text
        if message.type in ("error", "warning") and not refused:
            self.complaints.append(message.text)

    async def open(self) -> "Screen":
        await self.page.route("**/page", self._serve_page)
        await self.page.route("**/part", self._serve_part)
        await self.page.goto(f"{self.server.origin}/page")
        return self

    async def _serve_page(self, route: Route) -> None:
        await route.fulfill(
            body=HTML.replace("TOPIC", self.topic),
            headers={"Content-Type": "text/html", "Content-Security-Policy": CSP},
        )

    async def _serve_part(self, route: Route) -> None:
        self.refreshes += 1
        await route.fulfill(body=f"part {self.version}", content_type="text/html")

    async def happens(self, kind: str, object_id: str, **payload: Any) -> int:
        return await in_thread(emit, self.topic, kind=kind, object_id=object_id, **payload)

    async def shows_state(self, state: str, timeout_seconds: float = 30) -> None:
        dot = self.page.locator("[data-live-dot]")
        await expect(dot).to_have_attribute("data-state", state, timeout=timeout_seconds * 1000)

    def pods(self) -> Any:
        return self.page.locator("[data-list=pod] > li")


@pytest.fixture
async def screen(daphne: Daphne) -> AsyncIterator[Screen]:
    user, placement = await in_thread(member_of_new_team)
    name, _, value = (await in_thread(session_cookie, user)).decode().partition("=")
    async with _browser() as page:
        cookie = {"name": name, "value": value, "url": daphne.origin}
        await page.context.add_cookies([cookie])
        opened = Screen(page, placement, daphne)
        yield opened
        assert opened.complaints == []


@asynccontextmanager
async def _browser() -> AsyncIterator[Page]:
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield await browser.new_page()
        await browser.close()


async def test_fields_states_lists_and_regions_follow_the_events(screen: Screen) -> None:
    await screen.open()
    await screen.shows_state("live")
    await expect(screen.pods()).to_have_count(0), "the snapshot does not know the old pod"
    await screen.happens("pod.changed", "a", name="web-a", phase="Pending")
    await screen.happens("pod.changed", "b", name="<i>web-b</i>", phase="Running")
    await expect(screen.pods()).to_have_text(["web-a", "<i>web-b</i>"])
    await screen.happens("pod.changed", "a", name="web-a", phase="Running")
    await expect(screen.pods().nth(0)).to_have_attribute("data-state", "Running")
    await screen.happens("pod.gone", "a")
    await expect(screen.pods()).to_have_text(["<i>web-b</i>"])
    screen.version, started = "1.1", "2026-11-20T10:00:00+00:00"
    seq = await screen.happens(
        "rollout.changed", "7", state="succeeded", release={"version": "1.1"}, started_at=started
    )
    rollout = screen.page.locator("[data-object='rollout:7']")
    await expect(rollout).to_have_attribute("data-state", "succeeded")
    await expect(rollout.locator("b")).to_have_text("1.1")
    await expect(rollout.locator("time")).to_have_attribute("datetime", started)
    await expect(screen.page.locator("#region")).to_have_text("part 1.1")
    await expect(screen.page.locator("[data-live-seq]")).to_have_text(f"seq {seq}")
    lag = screen.page.locator("[data-live-lag]")
    await expect(lag).to_have_text(re.compile(r"^\d\.\d s behind$"))


async def test_many_events_refresh_a_region_a_few_times_and_never_miss_the_last(
    screen: Screen,
) -> None:
    await screen.open()
    await screen.shows_state("live")
    for number in range(40):
        screen.version = f"2.{number}"
        await screen.happens("rollout.changed", "7", release={"version": screen.version})
    await expect(screen.page.locator("[data-object='rollout:7'] b")).to_have_text("2.39")
    await expect(screen.page.locator("#region")).to_have_text("part 2.39")
    assert screen.refreshes < 30


async def test_an_open_page_survives_a_restart_of_the_server_and_catches_up(
    screen: Screen,
) -> None:
    await screen.open()
    await screen.shows_state("live")
    await screen.happens("pod.changed", "a", name="before")
    await expect(screen.pods()).to_have_text(["before"])
    screen.server.stop()
    await screen.shows_state("reconnecting")
    await screen.happens("pod.changed", "b", name="meanwhile")
    screen.server.start()
    await screen.shows_state("live")
    await expect(screen.pods()).to_have_text(["before", "meanwhile"])
    await screen.happens("pod.changed", "c", name="after")
    await expect(screen.pods()).to_have_text(["before", "meanwhile", "after"])


async def test_where_sockets_are_blocked_the_page_polls_and_still_moves(screen: Screen) -> None:
    async def block(socket: WebSocketRoute) -> None:
        await socket.close(code=4999)

    await screen.page.route_web_socket("**/ws/live", block)
    await screen.open()
    await screen.shows_state("polling")
    await screen.happens("pod.changed", "a", name="polled")
    await expect(screen.pods().last).to_have_text("polled")
    screen.version = "3.0"
    await screen.happens("rollout.changed", "7", release={"version": "3.0"})
    await expect(screen.page.locator("#region")).to_have_text("part 3.0")


async def test_signing_out_elsewhere_is_said_and_not_fought(screen: Screen) -> None:
    await screen.open()
    await screen.shows_state("live")
    screen.server.stop()
    await in_thread(Session.objects.all().delete)
    screen.server.start()
    await screen.shows_state("dead")
    await expect(screen.page.locator("[data-live-word]")).to_have_text("Signed out")


async def test_a_server_that_hangs_turns_the_dot_red_then_grey(screen: Screen) -> None:
    await screen.page.clock.install()
    await screen.open()
    await screen.shows_state("live")
    await screen.page.route_web_socket("**/ws/live", lambda socket: None)
    screen.server.process.send_signal(19)  # SIGSTOP: connected, and silent
    try:
        await screen.page.clock.run_for(20_000)
        await screen.shows_state("reconnecting")
        await screen.page.clock.run_for(20_000)
        await screen.shows_state("stale")
        await screen.page.clock.run_for(100_000)
        await screen.shows_state("dead")
    finally:
        screen.server.process.send_signal(18)
