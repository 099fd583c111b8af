"""All addresses of the portal."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("", include("portal.probes")),
    path("admin/", admin.site.urls),
]
