"""Uploaded kubeconfigs: read by allow-list, nothing in them executed, opened or fetched."""

from __future__ import annotations

import base64
import copy
import json
from pathlib import Path

import pytest
import yaml
from cryptography.hazmat.primitives import serialization
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.kube.connect import Endpoint, endpoint_from_kubeconfig
from fleet.kube.errors import KubeconfigError
from tests.kube.certificates import own_certificate

CA, CA_KEY = own_certificate()
CLIENT, CLIENT_KEY = own_certificate(common_name="pilothouse")


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


GOOD = {
    "apiVersion": "v1",
    "kind": "Config",
    "preferences": {},
    "current-context": "prod",
    "clusters": [
        {
            "name": "c",
            "cluster": {
                "server": "https://10.0.0.1:6443",
                "certificate-authority-data": b64(CA),
            },
        }
    ],
    "users": [{"name": "u", "user": {"token": "abc.def-ghi"}}],
    "contexts": [
        {"name": "prod", "context": {"cluster": "c", "user": "u", "namespace": "speech"}},
    ],
}


def config(**changes: object) -> dict:
    """The good document with `clusters__0__cluster__server=...` style replacements."""
    document = copy.deepcopy(GOOD)
    for path, value in changes.items():
        *steps, last = (int(s) if s.isdigit() else s for s in path.split("__"))
        spot = document
        for step in steps:
            spot = spot[step]
        spot[last] = value
    return document


def cluster(**settings_: object) -> dict:
    return config(clusters__0__cluster=GOOD["clusters"][0]["cluster"] | settings_)


def user(**settings_: object) -> dict:
    return config(users__0__user=settings_)


def read(document: object, *, allow_loopback: bool = False) -> Endpoint:
    text = document if isinstance(document, str | bytes) else yaml.safe_dump(document)
    return endpoint_from_kubeconfig(text, allow_loopback=allow_loopback)


def refused(document: object, **kwargs: bool) -> tuple[str, str]:
    with pytest.raises(KubeconfigError) as caught:
        read(document, **kwargs)
    assert caught.value.message
    return caught.value.pointer, caught.value.code


class TestGood:
    def test_a_token(self):
        endpoint = read(GOOD)
        assert endpoint.server == "https://10.0.0.1:6443"
        assert endpoint.token == "abc.def-ghi"
        assert endpoint.ca_pem == CA

    def test_json_is_fine_too(self):
        assert read(json.dumps(GOOD)) == read(GOOD)

    def test_bytes_are_fine_too(self):
        assert read(yaml.safe_dump(GOOD).encode()) == read(GOOD)

    def test_a_client_certificate(self):
        keys = {"client-certificate-data": b64(CLIENT), "client-key-data": b64(CLIENT_KEY)}
        endpoint = read(user(**keys))
        assert (endpoint.client_certificate_pem, endpoint.client_key_pem) == (CLIENT, CLIENT_KEY)

    def test_the_current_context_chooses(self):
        document = copy.deepcopy(GOOD)
        document["users"].append({"name": "v", "user": {"token": "other"}})
        document["contexts"].append({"name": "dev", "context": {"cluster": "c", "user": "v"}})
        assert read(document | {"current-context": "dev"}).token == "other"

    def test_a_single_context_needs_no_choice(self):
        document = copy.deepcopy(GOOD)
        del document["current-context"]
        assert read(document).token == "abc.def-ghi"

    def test_the_tls_server_name_is_kept(self):
        named = cluster(**{"tls-server-name": "kubernetes.default"})
        assert read(named).tls_server_name == "kubernetes.default"

    def test_without_a_ca_the_system_decides(self):
        assert read(config(clusters__0__cluster={"server": "https://k8s.example.com"})).ca_pem == ""

    def test_secrets_do_not_show_when_printed(self):
        assert "abc.def-ghi" not in repr(read(GOOD))

    def test_a_path_behind_the_server_stays(self):
        server = "https://rancher.example.com/k8s/clusters/c-1/"
        assert read(cluster(server=server)).server == server.rstrip("/")


class TestNothingRuns:
    def test_exec_is_refused_and_not_run(self, tmp_path: Path):
        spoils = tmp_path / "spoils"
        run = {"apiVersion": "client.authentication.k8s.io/v1", "command": "touch"}
        document = user(token="t", exec={**run, "args": [str(spoils)]})
        assert refused(document) == ("/users/0/user/exec", "not_allowed")
        assert not spoils.exists()

    @pytest.mark.parametrize(
        "key",
        ["auth-provider", "tokenFile", "client-certificate", "client-key", "username", "password",
         "as", "as-groups", "impersonate-user", "~/weird key"],
    )  # fmt: skip
    def test_other_ways_to_sign_in_are_refused_by_name(self, key):
        pointer, code = refused(user(token="t", **{key: "/etc/passwd"}))
        assert pointer == "/users/0/user/" + key.replace("~", "~0").replace("/", "~1")
        assert code == "not_allowed"

    @pytest.mark.parametrize(
        "key",
        ["insecure-skip-tls-verify", "certificate-authority", "proxy-url", "disable-compression",
         "extensions"],
    )  # fmt: skip
    def test_other_ways_to_reach_a_server_are_refused_by_name(self, key):
        assert refused(cluster(**{key: True})) == (f"/clusters/0/cluster/{key}", "not_allowed")

    def test_entries_that_are_not_in_use_are_checked_too(self):
        document = copy.deepcopy(GOOD)
        document["users"].append({"name": "v", "user": {"exec": {"command": "id"}}})
        assert refused(document) == ("/users/1/user/exec", "not_allowed")

    @pytest.mark.parametrize("key", ["extensions", "include", "<<"])
    def test_unknown_keys_at_the_top_are_refused(self, key):
        assert refused(config() | {key: []})[0] == f"/{key}"

    def test_preferences_must_be_empty(self):
        assert refused(config(preferences={"colors": True}))[0] == "/preferences"

    def test_keys_beside_the_entry_are_refused(self):
        assert refused(config(users__0__exec={}))[0] == "/users/0/exec"


class TestYamlTricks:
    def test_a_bomb_of_aliases_is_refused_at_its_first_anchor(self):
        bomb = "a: &a [x,x]\nb: &b [*a,*a]\nc: &c [*b,*b]\nclusters: *c\n"
        assert refused(bomb) == ("/a", "alias")

    def test_tags_are_refused(self):
        assert refused('clusters: !!python/object/apply:os.system ["id"]') == ("/clusters", "tag")

    def test_merge_keys_do_not_smuggle(self):
        text = yaml.safe_dump(GOOD).replace("token:", "<<: {exec: {command: id}}\n    token:")
        assert refused(text) == ("/users/0/user/<<", "not_allowed")

    def test_duplicate_keys_are_refused(self):
        text = yaml.safe_dump(GOOD) + "current-context: other\n"
        assert refused(text) == ("/current-context", "duplicate")

    def test_several_documents_are_refused(self):
        text = yaml.safe_dump(GOOD) + "---\n" + yaml.safe_dump(GOOD)
        assert refused(text) == ("", "many_documents")

    def test_size_has_a_limit(self):
        assert refused(yaml.safe_dump(GOOD) + "#" * 70_000) == ("", "too_large")

    def test_depth_has_a_limit(self):
        assert refused("clusters: " + "[" * 30_000)[1] == "too_deep"

    @pytest.mark.parametrize(
        "text", ["", "just text", "[1]", "null", "a: [", "\t", "? [x]\n: y", b"\xff\xfe", "a\x00b",
                 "---\n...\n", "%YAML 9.9\n---\n{}", "{"]
    )  # fmt: skip
    def test_what_is_no_kubeconfig_is_refused(self, text):
        refused(text)

    @pytest.mark.parametrize("word", ["12345678", "true", "2026-11-20", "1e3"])
    def test_scalars_stay_as_they_are_written(self, word):
        text = yaml.safe_dump(GOOD).replace("abc.def-ghi", word)
        assert read(text).token == word


class TestServer:
    @pytest.mark.parametrize(
        ("server", "code"),
        [
            ("http://10.0.0.1", "not_https"),
            ("", "not_https"),
            ("https://", "not_https"),
            ("file:///etc/passwd", "not_https"),
            ("https://admin:pw@10.0.0.1", "bad_url"),
            ("https://10.0.0.1?x=1", "bad_url"),
            ("https://10.0.0.1#x", "bad_url"),
            ("https://10.0.0.1/../x", "bad_url"),
            ("https://10.0.0.1:99999", "bad_url"),
            ("https://10.0.0.1\\@evil", "bad_url"),
            ("https://a b", "bad_url"),
            ("https://[::1", "bad_url"),
            ("https://2852039166", "bad_url"),
            ("https://0x7f.1", "bad_url"),
            ("https://[fe80::1%25eth0]", "bad_url"),
            ("https://bücher.example", "bad_url"),
            ("https://169.254.169.254/latest", "forbidden_address"),
            ("https://[fe80::1]:6443", "forbidden_address"),
            ("https://[fd00:ec2::254]", "forbidden_address"),
            ("https://[::ffff:169.254.169.254]", "forbidden_address"),
            ("https://127.0.0.1:6443", "forbidden_address"),
            ("https://localhost:6443", "forbidden_address"),
            ("https://x.localhost:6443", "forbidden_address"),
            ("https://[::1]:6443", "forbidden_address"),
            ("https://0.0.0.0:6443", "forbidden_address"),
        ],
    )
    def test_refused(self, server, code):
        assert refused(cluster(server=server)) == ("/clusters/0/cluster/server", code)

    def test_this_machine_is_fine_when_allowed(self):
        endpoint = read(cluster(server="https://127.0.0.1:6443"), allow_loopback=True)
        assert endpoint.allow_loopback

    def test_metadata_is_not_fine_even_then(self):
        document = cluster(server="https://169.254.169.254")
        assert refused(document, allow_loopback=True)[1] == "forbidden_address"


class TestCredentials:
    def test_none_is_refused(self):
        assert refused(user()) == ("/users/0/user", "required")

    def test_a_certificate_without_its_key_is_refused(self):
        document = user(**{"client-certificate-data": b64(CLIENT)})
        assert refused(document) == ("/users/0/user/client-key-data", "required")

    def test_a_key_of_another_certificate_is_refused(self):
        keys = {"client-certificate-data": b64(CLIENT), "client-key-data": b64(CA_KEY)}
        assert refused(user(**keys)) == ("/users/0/user/client-key-data", "bad_pem")

    def test_an_encrypted_key_is_refused(self):
        key = serialization.load_pem_private_key(CLIENT_KEY.encode(), None)
        locked = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        ).decode()
        keys = {"client-certificate-data": b64(CLIENT), "client-key-data": b64(locked)}
        assert refused(user(**keys)) == ("/users/0/user/client-key-data", "bad_pem")

    @pytest.mark.parametrize("value", ["not base64!", b64("not PEM"), "/etc/ssl/ca.pem"])
    def test_a_bad_ca_is_refused(self, value):
        pointer, code = refused(cluster(**{"certificate-authority-data": value}))
        assert pointer == "/clusters/0/cluster/certificate-authority-data"
        assert code in ("bad_base64", "bad_pem")

    @pytest.mark.parametrize("token", ["two words", "line\nbreak: x", "ünicode", "x" * 20_000])
    def test_a_token_that_could_break_a_header_is_refused(self, token):
        assert refused(user(token=token)) == ("/users/0/user/token", "bad_token")


class TestStructure:
    @pytest.mark.parametrize("part", ["clusters", "users", "contexts"])
    @pytest.mark.parametrize("value", ["text", {"a": "b"}, ["text"], [["x"]], [None]])
    def test_lists_of_mappings_are_expected(self, part, value):
        refused(config(**{part: value}))

    @pytest.mark.parametrize("value", [["x"], {"a": "b"}])
    def test_text_is_expected(self, value):
        assert refused(user(token=value)) == ("/users/0/user/token", "wrong_type")

    def test_names_must_lead_somewhere(self):
        assert refused(config() | {"current-context": "gone"}) == ("/current-context", "unknown")
        document = config(contexts__0__context={"cluster": "gone", "user": "u"})
        assert refused(document) == ("/contexts/0/context/cluster", "unknown")

    def test_names_must_be_unique(self):
        document = copy.deepcopy(GOOD)
        document["users"].append({"name": "u", "user": {"token": "other"}})
        assert refused(document) == ("/users/1/name", "duplicate")


KEYS = st.sampled_from(
    ["apiVersion", "kind", "clusters", "users", "contexts", "current-context", "preferences",
     "name", "cluster", "user", "context", "server", "token", "exec", "tokenFile", "<<",
     "certificate-authority-data", "client-key-data", "client-certificate-data", ""]
)  # fmt: skip
ATOMS = st.none() | st.booleans() | st.integers() | st.text(max_size=20)
TREES = st.recursive(
    ATOMS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=25,
)


@settings(max_examples=300, deadline=None)
@given(TREES)
def test_no_tree_gets_anything_but_an_endpoint_or_a_refusal(tree):
    try:
        read(yaml.safe_dump(tree))
    except KubeconfigError as error:
        assert error.code


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet=st.sampled_from(list("ab:-[]{}&*!<>?|%@`'\"#,\n\t 0~"))) | st.binary())
def test_no_bytes_get_anything_but_a_refusal(text):
    with pytest.raises(KubeconfigError):
        read(text)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_mutated_good_document_never_yields_a_forbidden_server(data):
    where = data.draw(st.sampled_from(["server", "token", "tls-server-name", "extra"]))
    value = data.draw(ATOMS | st.sampled_from(["https://169.254.169.254", "https://[::1]"]))
    try:
        endpoint = read(cluster(**{where: value}))
    except KubeconfigError:
        return
    assert "169.254" not in endpoint.server and "::1" not in endpoint.server
