"""The pages in a browser: colours, narrow screens, keyboard, and life without JavaScript."""

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Operator

pytestmark = pytest.mark.browser

PAGES = (
    "/", "/clusters/", "/clusters/new/", "/services/", "/services/asr/", "/services/asr/releases/",
    "/services/asr/releases/2/", "/services/asr/releases/new/", "/rollouts/", "/audit/",
    "/services/asr/roll-out/?release=2", "/search/?q=asr",
)  # fmt: skip
TOO_WIDE = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
SMALL_TARGETS = """
[...document.querySelectorAll("button, a.button, summary, select, .sidebar li a,"
  + "input:not([type=checkbox], [type=radio], [type=hidden])")]
  .filter((element) => element.checkVisibility() && element.tagName !== "SUMMARY"
    && element.getBoundingClientRect().height < 44)
  .map((element) => element.outerHTML.slice(0, 80))
"""


def background(operator: Operator) -> str:
    return operator.page.evaluate("getComputedStyle(document.documentElement).backgroundColor")


def test_every_page_opens_without_a_complaint(operator: Operator) -> None:
    for path in PAGES:
        operator.open(path)
        expect(operator.page.locator("main h1")).to_be_visible()


def test_the_system_decides_between_light_and_dark_until_a_person_does(
    sign_in: Callable[..., Operator],
) -> None:
    operator = sign_in(color_scheme="dark")
    dark = background(operator)
    operator.page.emulate_media(color_scheme="light")
    light = background(operator)
    assert dark != light
    operator.page.locator("details.menu summary").click()
    operator.page.get_by_role("button", name="Dark").click()
    assert background(operator) == dark


def test_a_narrow_screen_gets_one_column_and_targets_for_fingers(
    sign_in: Callable[..., Operator],
) -> None:
    operator = sign_in(viewport={"width": 400, "height": 800})
    for path in PAGES:
        operator.open(path)
        assert not operator.page.evaluate(TOO_WIDE), path
        assert operator.page.evaluate(SMALL_TARGETS) == [], path


def test_the_keyboard_goes_to_search_pages_and_help(operator: Operator) -> None:
    page = operator.page
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox", name="Search clusters")).to_be_focused()
    page.keyboard.type("asr")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Search: asr")).to_be_visible()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("This help")
    page.keyboard.press("Escape")
    page.keyboard.press("g")
    page.keyboard.press("c")
    expect(page.get_by_role("heading", name="Clusters", exact=True)).to_be_visible()


def test_the_first_tab_leads_to_the_content(operator: Operator) -> None:
    operator.page.keyboard.press("Tab")
    skip = operator.page.get_by_role("link", name="Skip to the content")
    expect(skip).to_be_focused()
    operator.page.keyboard.press("Enter")
    expect(operator.page.locator("main")).to_be_focused()


def test_a_connection_is_tested_in_place(operator: Operator) -> None:
    page = operator.page
    operator.open("/clusters/")
    page.get_by_role("link", name="us-east-1").click()
    page.get_by_role("button", name="Test connection").click()
    expect(page.locator("#test-results .pill[data-tone=good]").first).to_be_visible()


def test_without_javascript_an_operator_can_do_everything(
    sign_in: Callable[..., Operator],
) -> None:
    operator = sign_in(java_script_enabled=False)
    page = operator.page
    operator.open("/clusters/")
    page.get_by_role("link", name="us-east-1").click()
    page.get_by_role("button", name="Test connection").click()
    expect(page.locator("#test-results .pill[data-tone=good]").first).to_be_visible()

    operator.open("/services/asr/roll-out/?release=4")
    page.locator("label.choice", has_text="eu-west-1").click()
    page.get_by_role("button", name="Show what changes").click()
    page.get_by_role("button", name="Release 1.7.0-greedy to 1 placement").click()
    expect(page).to_have_title("asr 1.7.0-greedy on eu-west-1 · Pilothouse")
    page.wait_for_timeout(2_000)
    page.reload()
    operator.state("Aborted")
    expect(page.locator("#rollout-next")).to_contain_text("asks 2 GPUs")
