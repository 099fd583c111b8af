"""Registering, testing and removing clusters by form."""

from typing import Any

from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from fleet.models import Cluster
from portal.dashboard.queries import clusters
from tests.factories import make_cluster
from tests.pages.conftest import World

BAD_KUBECONFIG = """\
apiVersion: v1
kind: Config
current-context: x
contexts: [{name: x, context: {cluster: x, user: x}}]
clusters: [{name: x, cluster: {server: "https://10.0.0.1:6443"}}]
users: [{name: x, user: {exec: {command: touch, args: [/tmp/it-ran]}}}]
"""


def given(**changes: Any) -> dict[str, Any]:
    about = {"name": "us-west-2", "region": "us-west-2", "provider": "eks"}
    return about | {"environment": "staging"} | changes


def register(world: World, **changes: Any):
    return world.browser(world.admin).post(reverse("cluster_new"), given(**changes))


def test_a_refused_kubeconfig_is_told_at_its_field_with_the_pointer(world: World) -> None:
    answer = register(world, kubeconfig=BAD_KUBECONFIG)
    html = answer.content.decode()
    assert answer.status_code == 422
    assert "/kubeconfig/users/0/user/exec" in html
    assert 'aria-invalid="true"' in html
    assert 'value="us-west-2"' in html  # what was typed is kept
    assert not Cluster.objects.filter(name="us-west-2").exists()


def test_a_kubeconfig_can_be_uploaded_as_a_file(world: World) -> None:
    upload = SimpleUploadedFile("config", BAD_KUBECONFIG.encode())
    assert "/user/exec" in register(world, kubeconfig_file=upload).content.decode()


def test_a_file_that_is_too_big_or_no_text_is_refused(world: World) -> None:
    big = SimpleUploadedFile("config", b"#" * 70_000)
    assert "at most 64 KB" in register(world, kubeconfig_file=big).content.decode()
    binary = SimpleUploadedFile("config", b"\xff\xfe\x00")
    assert "not text" in register(world, kubeconfig_file=binary).content.decode()


def test_without_any_credential_the_form_says_what_to_give(world: World) -> None:
    answer = register(world)
    assert answer.status_code == 422
    assert "Give a kubeconfig" in answer.content.decode()


def test_a_taken_name_is_a_conflict_shown_on_the_form(
    world: World, loopback_clusters: None
) -> None:
    answer = register(world, name="eu-west-1", server="https://127.0.0.1:1", token="t")
    assert answer.status_code == 409


def test_a_cluster_that_does_not_answer_is_registered_and_said_so(
    world: World, loopback_clusters: None
) -> None:
    browser = world.browser(world.admin)
    sent = given(server="https://127.0.0.1:1", token="secret-token")
    answer = browser.post(reverse("cluster_new"), sent, follow=True)
    html = answer.content.decode()
    assert "does not work yet" in html
    assert "secret-token" not in html


def test_the_connection_test_shows_each_step_with_a_hint(world: World) -> None:
    cluster = make_cluster("dead")
    url = reverse("cluster_test", kwargs={"pk": cluster.pk})
    html = world.browser(world.viewer).post(url).content.decode()
    assert "Address" in html
    assert "<h1>dead</h1>" in html
    part = world.browser(world.viewer).post(url, headers={"HX-Request": "true"}).content.decode()
    assert "<h1>" not in part
    assert "Address" in part


def test_removing_takes_the_typed_name(world: World) -> None:
    cluster = make_cluster("old-one")
    url = reverse("cluster_remove", kwargs={"pk": cluster.pk})
    browser = world.browser(world.admin)
    assert browser.post(url, {"confirm": "old"}).status_code == 422
    assert Cluster.objects.filter(name="old-one").exists()
    assert browser.post(url, {"confirm": "old-one"}).url == reverse("clusters")
    assert not Cluster.objects.filter(name="old-one").exists()


def test_a_cluster_in_use_stays_and_the_form_says_why(world: World) -> None:
    url = reverse("cluster_remove", kwargs={"pk": world.cluster.pk})
    answer = world.browser(world.admin).post(url, {"confirm": "eu-west-1"})
    assert answer.status_code == 409
    assert "Still placed here: asr" in answer.content.decode()


def test_pools_show_what_is_requested_used_and_idle(world: World) -> None:
    (pool,) = clusters.pools(world.cluster)
    assert (pool["gpus"]["allocatable"], pool["gpus"]["requested"]) == (2, 2)
    assert (pool["gpus"]["used"], pool["idle_gpus"]) == (1, 1)


def test_the_list_can_be_searched_filtered_and_sorted(world: World) -> None:
    make_cluster("ap-south-1", region="ap-south-1", connection="unreachable")
    browser = world.browser(world.viewer)

    def names(query: str) -> list[str]:
        rows = browser.get(reverse("clusters") + query).context["rows"]
        return [row["name"] for row in rows]

    assert names("?q=south") == ["ap-south-1"]
    assert names("?connection=connected") == ["eu-west-1"]
    assert names("?sort=-name") == ["eu-west-1", "ap-south-1"]
    assert names("?region=nowhere") == []
