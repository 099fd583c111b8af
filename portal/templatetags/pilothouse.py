"""What the pages' templates need beyond Django's own tags: pills, ages, sizes, sortable columns."""

from datetime import datetime
from typing import Any

from django import template
from django.template.context import RequestContext
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.html import format_html
from django.utils.safestring import SafeString

register = template.Library()

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


@register.inclusion_tag("components/_pill.html")
def pill(tone: str, word: str, large: bool = False) -> dict[str, Any]:
    """A state as colour, glyph and word. `tone`: good, bad, warn, busy or idle."""
    return {"tone": tone or "idle", "word": word, "large": large}


@register.inclusion_tag("components/_glyph.html")
def glyph(tone: str) -> dict[str, Any]:
    return {"tone": tone}


@register.filter
def moment(value: datetime | str | None) -> datetime | None:
    """A datetime from what models (datetime) and projections (RFC 3339 text) hold."""
    return parse_datetime(value) if isinstance(value, str) else value


@register.filter
def ago(value: datetime | str | None) -> SafeString | str:
    """The age of a time as `<time>`; pages.js keeps it moving."""
    at = moment(value)
    if at is None:
        return "never"
    words = since_words((timezone.now() - at).total_seconds())
    return format_html(
        '<time datetime="{}" title="{} UTC" data-ago>{}</time>',
        at.isoformat(), at.strftime("%Y-%m-%d %H:%M:%S"), words,
    )  # fmt: skip


def since_words(seconds: float) -> str:
    """`3 min ago`, `in 2 d`, `now`."""
    if abs(seconds) < 1:
        return "now"
    return f"{duration(seconds)} ago" if seconds > 0 else f"in {duration(-seconds)}"


@register.filter
def duration(seconds: float | int | None) -> str:
    """Seconds for people, in the largest unit that fits: `42 s`, `5 min`, `3 h`."""
    if seconds is None:
        return ""
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return "0 s"


@register.simple_tag
def between(start: datetime | str | None, end: datetime | str | None) -> SafeString | str:
    """How long something took; without an end how long it has been taking, which keeps moving."""
    begun, ended = moment(start), moment(end)
    if begun is None:
        return ""
    if ended is not None:
        return duration((ended - begun).total_seconds())
    so_far = duration((timezone.now() - begun).total_seconds())
    return format_html('<span data-since="{}">{}</span>', begun.isoformat(), so_far)


@register.filter
def milliseconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1000:.0f} ms"


@register.filter
def short_digest(digest: str) -> str:
    """`sha256:9c41…e07`: enough to compare by eye."""
    algorithm, _, value = digest.rpartition(":")
    return f"{algorithm}:{value[:4]}…{value[-3:]}" if len(value) > 8 else digest


@register.filter
def pod_tail(name: str) -> str:
    """The part of a pod's name that tells it from its siblings."""
    return "…" + name.rsplit("-", 1)[-1]


@register.inclusion_tag("components/_sort.html", takes_context=True)
def sort_by(context: RequestContext, key: str, label: str) -> dict[str, Any]:
    """A column head that sorts by `key`, and the other way round when it already does."""
    query = context["request"].GET.copy()
    current = context.get("sort", "")
    query["sort"] = f"-{key}" if current == key else key
    query.pop("page", None)
    order = {key: "ascending", f"-{key}": "descending"}.get(current, "")
    return {"label": label, "query": query.urlencode(), "order": order}
