"""Debian's Chromium, to look at the running portal as an operator does."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from tests.launcher.installation import Installation, running_portal

CHROMIUM = "/usr/bin/chromium"
WAIT_MILLISECONDS = 45_000  # a bound for hangs: every page here changes within seconds
TELL_VIOLATIONS = """
addEventListener("securitypolicyviolation", (event) =>
  console.error(`policy violated: ${event.violatedDirective} ${event.blockedURI}`));
"""


@pytest.fixture(scope="package")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with running_portal(tmp_path_factory.mktemp("browser") / "var") as portal:
        yield portal


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    if not Path(CHROMIUM).exists():
        pytest.fail(f"{CHROMIUM} is missing: apt install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@dataclass
class Operator:
    """Somebody signed in, with one page open. `complaints`: what the browser held against it."""

    page: Page
    address: str
    complaints: list[str] = field(default_factory=list)

    def listen(self) -> None:
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def open(self, path: str) -> None:
        self.page.goto(self.address + path)

    def sign_in(self, password: str) -> None:
        self.open("/sign-in/")
        self.page.get_by_label("User name").fill("admin")
        self.page.get_by_label("Password").fill(password)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.wait_for_url(self.address + "/")

    def plan_release(self, version: str, cluster: str) -> None:
        """From the service's page to the plan of bringing a release to one cluster."""
        self.open("/services/asr/")
        row = self.page.locator("#service-history li", has_text=version).first
        row.get_by_role("link", name="Release", exact=True).click()
        self.page.locator("label.choice", has_text=cluster).click()

    def state(self, word: str) -> None:
        """Waits until the rollout's pill says so."""
        expect(self.page.locator("#rollout-head .pill").first).to_have_text(word)


@pytest.fixture(scope="package")
def session(portal: Installation, chromium: Browser) -> dict[str, object]:
    """The cookies of somebody who signed in by hand, once for all windows."""
    window = chromium.new_context()
    Operator(window.new_page(), f"http://127.0.0.1:{portal.port}").sign_in(portal.password)
    return window.storage_state()


@pytest.fixture
def sign_in(
    portal: Installation, chromium: Browser, session: dict[str, object]
) -> Iterator[Callable[..., Operator]]:
    """Opens a window of somebody signed in; options are Playwright's for a context."""
    expect.set_options(timeout=WAIT_MILLISECONDS)
    windows = []

    def open_window(**options: object) -> Operator:
        size = {"width": 1440, "height": 900}
        window = chromium.new_context(**{"viewport": size, "storage_state": session, **options})
        window.add_init_script(TELL_VIOLATIONS)
        window.set_default_timeout(WAIT_MILLISECONDS)
        windows.append(window)
        operator = Operator(window.new_page(), f"http://127.0.0.1:{portal.port}")
        operator.listen()
        operator.open("/")
        return operator

    yield open_window
    for window in windows:
        window.close()


@pytest.fixture
def operator(sign_in: Callable[..., Operator]) -> Iterator[Operator]:
    """An operator whose browser must have had nothing to complain about at the end."""
    somebody = sign_in()
    yield somebody
    assert somebody.complaints == []
