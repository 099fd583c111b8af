"""What the OpenAPI description says of every operation: how to sign in, how errors look."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers

from portal.base.rest.idempotency import HEADER
from portal.base.rest.rendering import CONTENT_TYPE


class Mistake(serializers.Serializer):
    pointer = serializers.CharField(help_text="RFC 6901, into the body or to a parameter")
    code = serializers.CharField()
    message = serializers.CharField()


class ProblemShape(serializers.Serializer):
    """RFC 9457."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    code = serializers.CharField()
    detail = serializers.CharField()
    request_id = serializers.CharField()
    errors = Mistake(many=True)

    class Meta:
        ref_name = "Problem"


class ApiSchema(AutoSchema):
    """Adds the problem document as the answer of every other status, and repeatable POSTs."""

    def get_override_parameters(self) -> list[OpenApiParameter]:
        about = "The same key within 24 hours gets the same answer, and nothing is done twice"
        key = OpenApiParameter(HEADER, str, OpenApiParameter.HEADER, description=about)
        return [key] if self.method == "POST" else []

    def _get_response_bodies(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        found = super()._get_response_bodies(*args, **kwargs)
        problem = self._get_response_for_code(ProblemShape(), "default", [CONTENT_TYPE])
        return {**found, "default": {**problem, "description": "What went wrong"}}


class ApiKeyScheme(OpenApiAuthenticationExtension):
    target_class = "portal.base.api_keys.ApiKeyAuthentication"
    name = "apiKey"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "ph_<id>.<secret>"}
