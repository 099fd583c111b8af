"""All addresses of the portal."""

from django.contrib import admin
from django.urls import include, path

admin.autodiscover()

urlpatterns = [
    path("", include("portal.probes")),
    path("admin/", admin.site.urls),
    path("api/v1/", include(("portal.api", "api"))),
    path("", include("portal.dashboard.urls")),
]

handler400 = "portal.errors.bad_request"
handler403 = "portal.errors.permission_denied"
handler404 = "portal.errors.not_found"
handler500 = "portal.errors.server_error"
