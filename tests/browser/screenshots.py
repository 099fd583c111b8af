"""Takes the pictures of docs/screenshots from a running portal with the demo.

    python -m tests.browser.screenshots http://127.0.0.1:8000 var/admin-password

It rolls `asr` out on eu-west-1, to the release that does not run there.
"""

import re
import sys
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright

from tests.browser.conftest import CHROMIUM, Operator

FOLDER = Path(__file__).parents[2] / "docs/screenshots"
CLUSTER = "eu-west-1"


def main(address: str, password_file: str) -> None:
    """Rolls out once, and takes light and dark while old and new pods share the work."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1440, "height": 900}, color_scheme="light")
        operator = Operator(page, address.rstrip("/"))
        operator.sign_in(Path(password_file).read_text().strip())
        operator.plan_release("1.4.0" if runs(operator, "1.5.0") else "1.5.0", CLUSTER)
        page.get_by_role("button", name=re.compile(r"^Release .* placement$")).click()
        page.wait_for_url("**/rollouts/**")
        expect(page.locator("#rollout-traffic")).to_contain_text("50 %", timeout=30_000)
        take(page, "rollout")
        operator.open("/")
        expect(page.locator("[data-live-dot]")).to_have_attribute("data-state", "live")
        take(page, "fleet")
        browser.close()


def runs(operator: Operator, version: str) -> bool:
    operator.open("/services/asr/")
    row = operator.page.locator("#service-matrix tbody tr", has_text=CLUSTER)
    return version in row.locator("td").nth(1).inner_text()


def take(page: Page, name: str) -> None:
    """One picture in light and one in dark, once the colours have settled."""
    for scheme, suffix in (("light", ""), ("dark", "_dark")):
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        page.screenshot(path=FOLDER / f"{name}{suffix}.png", full_page=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
