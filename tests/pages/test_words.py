"""Ages, durations and digests as people read them."""

from datetime import timedelta

import pytest
from django.utils import timezone

from portal.templatetags import pilothouse as words


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0.4, "0 s"), (59, "59 s"), (60, "1 min"), (7_300, "2 h"), (200_000, "2 d"), (None, "")],
)
def test_durations_use_the_largest_unit_that_fits(seconds: float | None, told: str) -> None:
    assert words.duration(seconds) == told


def test_ages_look_back_and_ahead() -> None:
    assert words.since_words(125) == "2 min ago"
    assert words.since_words(-125) == "in 2 min"
    assert words.since_words(0.2) == "now"


def test_an_age_carries_its_moment_for_machines_and_hovering() -> None:
    html = words.ago((timezone.now() - timedelta(hours=3)).isoformat())
    assert ">3 h ago</time>" in html
    assert "data-ago" in html
    assert words.ago(None) == "never"


def test_text_of_others_is_escaped_in_what_we_build() -> None:
    assert "<script" not in str(words.ago("<script>"))


def test_a_digest_is_cut_in_the_middle() -> None:
    assert words.short_digest("sha256:9c41" + "0" * 57 + "e07") == "sha256:9c41…e07"
    assert words.short_digest("short") == "short"


def test_what_still_runs_keeps_counting_in_the_browser() -> None:
    begun = timezone.now() - timedelta(seconds=5)
    assert "data-since" in words.between(begun, None)
    assert words.between(begun, begun + timedelta(seconds=90)) == "1 min"
    assert words.between(None, None) == ""
