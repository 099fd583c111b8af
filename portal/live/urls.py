"""Addresses of the live bus. They are routed in front of Django (see `portal/asgi.py`)."""

from django.urls import path, re_path

from portal.live.consumer import live
from portal.live.poll import events


async def refuse(scope, receive, send) -> None:
    """Any other socket: refused with HTTP 403."""
    await receive()
    await send({"type": "websocket.close"})


http_urlpatterns = [path("api/v1/events", events, name="events")]
websocket_urlpatterns = [path("ws/live", live()), re_path(r"", refuse)]
