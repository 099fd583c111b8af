"""Addresses of the pages."""

from django.urls import path

from portal.dashboard.views import (
    audit,
    catalogue,
    clusters,
    fleet,
    people,
    releases,
    rolling_out,
    rollouts,
)

urlpatterns = [
    path("", fleet.show, name="fleet"),
    path("sign-in/", people.sign_in, name="sign_in"),
    path("sign-out/", people.sign_out, name="sign_out"),
    path("theme/", people.theme, name="theme"),
    path("search/", fleet.find, name="search"),
    path("clusters/", clusters.index, name="clusters"),
    path("clusters/new/", clusters.create, name="cluster_new"),
    path("clusters/<uuid:pk>/", clusters.show, name="cluster"),
    path("clusters/<uuid:pk>/test/", clusters.check, name="cluster_test"),
    path(
        "clusters/<uuid:pk>/credentials/",
        clusters.replace_credentials,
        name="cluster_credentials",
    ),
    path("clusters/<uuid:pk>/remove/", clusters.remove, name="cluster_remove"),
    path("services/", catalogue.index, name="services"),
    path("new-service/", catalogue.create, name="service_new"),
    path("services/<slug:name>/", catalogue.show, name="service"),
    path("services/<slug:name>/edit/", catalogue.edit, name="service_edit"),
    path("services/<slug:name>/place/", catalogue.place, name="placement_new"),
    path("services/<slug:name>/roll-out/", rolling_out.roll_out, name="roll_out"),
    path("services/<slug:name>/releases/", releases.index, name="releases"),
    path("services/<slug:name>/releases/new/", releases.create, name="release_new"),
    path("services/<slug:name>/releases/<int:number>/", releases.show, name="release"),
    path("placements/<uuid:pk>/roll-back/", rolling_out.roll_back, name="placement_roll_back"),
    path("placements/<uuid:pk>/edit/", catalogue.change_placement, name="placement_edit"),
    path("placements/<uuid:pk>/remove/", catalogue.remove_placement, name="placement_remove"),
    path("rollouts/", rollouts.index, name="rollouts"),
    path("rollouts/<uuid:pk>/", rollouts.show, name="rollout"),
    path("rollouts/<uuid:pk>/logs/", rollouts.logs, name="rollout_logs"),
    path("rollouts/<uuid:pk>/<slug:verb>/", rollouts.act, name="rollout_act"),
    path("audit/", audit.index, name="audit"),
]
