"""The admin wears the portal's tokens."""

import re
from pathlib import Path

from django.contrib.staticfiles import finders
from django.test import Client

VARIABLE = re.compile(r"(--[a-z-]+): ([^;]+);")


def text(name: str) -> str:
    return Path(finders.find(name)).read_text()


def test_tokens_have_the_portals_values() -> None:
    portal = dict(
        VARIABLE.findall(re.search(r":root \{(.*?)\n\}", text("portal/app.css"), re.S)[1])
    )
    shared = {k: v for k, v in VARIABLE.findall(text("portal/admin.css")) if k in portal}
    assert len(shared) > 15
    assert shared == {name: portal[name] for name in shared}


def test_every_other_colour_is_a_token() -> None:
    variables = dict(VARIABLE.findall(text("portal/admin.css")))
    rules = VARIABLE.sub("", text("portal/admin.css"))
    assert re.findall(r"#[0-9a-f]{3,8}\b(?=[;,) ])|rgba?\(", rules) == []
    used = re.findall(r"var\((--[a-z-]+)\)", rules + " ".join(variables.values()))
    assert set(used) - set(variables) == set()


def test_every_colour_of_the_stock_admin_is_replaced() -> None:
    stock = re.search(r":root \{(.*?)\}", text("admin/css/base.css"), re.S)
    assert stock
    names = set(re.findall(r"(--[a-z-]+):", stock[1]))
    assert names - set(re.findall(r"(--[a-z-]+):", text("portal/admin.css"))) == set()


def test_the_sign_in_page_links_it(db: None) -> None:
    page = Client().get("/admin/login/").content.decode()
    assert page.index("admin/css/dark_mode.css") < page.index("portal/admin.css")
