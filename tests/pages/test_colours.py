"""The tokens keep WCAG 2.2 AA contrast, in light and in dark."""

import re
from pathlib import Path

import pytest

CSS = (Path(__file__).parents[2] / "portal/static/portal/app.css").read_text()
TOKENS = {
    name: (light, dark)
    for name, light, dark in re.findall(
        r"--([\w-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)", CSS
    )
}
TEXT = {
    "text": ("bg", "surface", "sunken", "old"),
    "muted": ("bg", "surface", "sunken"),
    "accent": ("bg", "surface", "accent-soft"),
    "good": ("surface", "good-soft"),
    "warn": ("surface", "warn-soft"),
    "bad": ("bg", "surface", "bad-soft"),
    "idle": ("surface", "idle-soft"),
    "on-fill": ("accent-fill", "bad-fill"),
}
OUTLINES = {"line-strong": ("bg", "surface"), "accent": ("accent-soft",), "good": ("good-soft",)}


def pairs(table: dict[str, tuple[str, ...]]) -> list[tuple[str, str]]:
    return [(front, back) for front, backs in table.items() for back in backs]


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.2)."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(front: str, back: str) -> float:
    low, high = sorted((luminance(front), luminance(back)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(("front", "back"), pairs(TEXT))
def test_text_can_be_read(front: str, back: str, scheme: int) -> None:
    assert contrast(TOKENS[front][scheme], TOKENS[back][scheme]) >= 4.5


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(("front", "back"), pairs(OUTLINES))
def test_borders_of_controls_can_be_seen(front: str, back: str, scheme: int) -> None:
    assert contrast(TOKENS[front][scheme], TOKENS[back][scheme]) >= 3
