"""What an API server refuses, in our own errors: each says what to do about it."""

from __future__ import annotations

import pytest

from fleet.kube import errors
from fleet.kube.gateway import Gateway
from tests.kube.faulty_apiserver import (
    refuse,
)

POD = "/api/v1/namespaces/shop/pods/web"
POD_OBJECT = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"namespace": "shop", "name": "web"},
}


def get(gateway: Gateway) -> dict:
    return gateway.get("v1", "Pod", "shop", "web")


def apply(gateway: Gateway, **kwargs) -> dict:
    return gateway.apply(POD_OBJECT, field_manager="pilothouse", **kwargs)


class TestRefusals:
    def refused(self, server, gateway, answer) -> errors.KubeError:
        server.on("PATCH", POD, answer)
        with pytest.raises(errors.KubeError) as caught:
            apply(gateway)
        return caught.value

    def test_a_field_conflict_names_the_other_managers_and_the_fields(self, server, gateway):
        causes = [
            {
                "reason": "FieldManagerConflict",
                "message": 'conflict with "kubectl-set" using apps/v1',
                "field": '.spec.template.spec.containers[name="asr"].image',
            },
            {
                "reason": "FieldManagerConflict",
                "message": 'conflict with "hpa" with subresource "scale" using apps/v1',
                "field": ".spec.replicas",
            },
        ]
        answer = refuse(
            409, "Conflict", "Apply failed with 2 conflicts", details={"causes": causes}
        )
        error = self.refused(server, gateway, answer)
        assert isinstance(error, errors.FieldConflict)
        assert error.owner == "kubectl-set"
        assert error.owners["hpa"] == [".spec.replicas"]
        assert ".spec.replicas" in error.fields
        assert "hpa owns .spec.replicas" in str(error)

    def test_a_stale_version_is_a_conflict_but_no_field_conflict(self, server, gateway):
        message = "the object has been modified; please apply your changes to the latest version"
        error = self.refused(server, gateway, refuse(409, "Conflict", message))
        assert type(error) is errors.Conflict
        assert "modified" in str(error)

    def test_forbidden_names_the_missing_right(self, server, gateway):
        message = (
            'pods "web" is forbidden: User "system:serviceaccount:ci:bot" cannot patch resource '
            '"pods" in API group "" in the namespace "shop"'
        )
        error = self.refused(server, gateway, refuse(403, "Forbidden", message))
        assert isinstance(error, errors.Forbidden)
        assert (error.verb, error.resource) == ("patch", "pods")
        assert error.missing == 'patch pods in the namespace "shop"'
        assert "lacks the right to patch pods" in str(error)

    def test_forbidden_by_admission_repeats_the_reason(self, server, gateway):
        message = 'pods "web" is forbidden: violates PodSecurity "restricted:latest"'
        error = self.refused(server, gateway, refuse(403, "Forbidden", message))
        assert isinstance(error, errors.Forbidden)
        assert (error.missing, error.verb) == ("", "patch")
        assert "PodSecurity" in str(error)

    def test_invalid_points_at_the_field(self, server, gateway):
        cause = {
            "reason": "FieldValueInvalid",
            "message": "Invalid value: -1: must be greater than or equal to 0",
            "field": "spec.containers[0].ports[1].containerPort",
        }
        answer = refuse(422, "Invalid", 'Pod "web" is invalid', details={"causes": [cause]})
        error = self.refused(server, gateway, answer)
        assert isinstance(error, errors.Invalid)
        assert error.field == "spec.containers[0].ports[1].containerPort"
        assert error.pointer == "/spec/containers/0/ports/1/containerPort"
        assert error.causes[0].reason == "FieldValueInvalid"

    @pytest.mark.parametrize(
        ("code", "kind"),
        [
            (400, errors.Invalid),
            (401, errors.Unauthorized),
            (404, errors.NotFound),
            (410, errors.Gone),
            (413, errors.Invalid),
            (418, errors.KubeError),
        ],
    )
    def test_each_code_has_its_error(self, server, gateway, code, kind):
        error = self.refused(server, gateway, refuse(code, "Whatever", "because"))
        assert type(error) is kind

    @pytest.mark.parametrize(
        ("header", "seconds"),
        [("7", 7.0), ("0", 0.0), ("soon", 1.0), ("1e12", 30.0), ("nan", 30.0), ("-5", 30.0)],
    )
    def test_too_many_requests_says_how_long_to_wait(self, server, gateway, header, seconds):
        answer = refuse(429, "TooManyRequests", "slow down", headers={"Retry-After": header})
        error = self.refused(server, gateway, answer)
        assert isinstance(error, errors.TooManyRequests)
        assert error.retry_after_seconds == seconds

    def test_a_refusal_that_is_no_status_still_speaks(self, server, gateway):
        error = self.refused(server, gateway, lambda e: e.send(403, b"blocked by the proxy"))
        assert "blocked by the proxy" in str(error)

    @pytest.mark.parametrize(
        "details", [None, [], "x", {"causes": "x"}, {"causes": [None, 1]}, {"causes": [{}]}]
    )
    def test_mangled_details_do_not_break_the_translation(self, server, gateway, details):
        for code, reason in ((409, "Conflict"), (422, "Invalid"), (429, "TooManyRequests")):
            server.calm()
            error = self.refused(server, gateway, refuse(code, reason, "m", details=details))
            assert error.status["code"] == code

    def test_a_failed_test_of_a_json_patch_is_a_conflict(self, server, gateway):
        message = "the server rejected our request due to an error in our request"
        server.on("PATCH", POD, refuse(422, "Invalid", message))
        ops = [{"op": "test", "path": "/metadata/annotations/x", "value": "1"}]
        with pytest.raises(errors.Conflict, match="not as the patch expects"):
            gateway.patch_json("v1", "Pod", "shop", "web", ops, field_manager="pilothouse")
