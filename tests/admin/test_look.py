"""The admin wears the portal's tokens."""

import re
from pathlib import Path

from django.contrib.staticfiles import finders
from django.test import Client

TOKEN = re.compile(r"--accent: (light-dark\([^)]*\));")


def text(name: str) -> str:
    return Path(finders.find(name)).read_text()


def test_the_accent_is_the_portals() -> None:
    admin, portal = text("portal/admin.css"), text("portal/app.css")
    assert TOKEN.findall(admin) == TOKEN.findall(portal)[:1] != []


def test_every_colour_is_a_token() -> None:
    rules = TOKEN.sub("", text("portal/admin.css"))
    assert re.findall(r"#[0-9a-f]{3,8}\b(?=[;,) ])|rgba?\(", rules) == []
    used = set(re.findall(r"var\((--[a-z-]+)\)", rules))
    known = set(re.findall(r"(--[a-z-]+):", text("portal/app.css") + rules))
    assert used - known == set()


def test_every_colour_of_the_stock_admin_is_replaced() -> None:
    stock = re.search(r":root \{(.*?)\}", text("admin/css/base.css"), re.S)
    assert stock
    names = set(re.findall(r"(--[a-z-]+):", stock[1]))
    assert names - set(re.findall(r"(--[a-z-]+):", text("portal/admin.css"))) == set()


def test_the_sign_in_page_links_it(db: None) -> None:
    page = Client().get("/admin/login/").content.decode()
    assert "portal/admin.css" in page
    assert "dark_mode.css" not in page
