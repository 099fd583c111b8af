"""Registering a cluster: a kubeconfig, or its three parts typed in."""

from typing import Any

from django import forms

from fleet.kube.connect import Endpoint
from fleet.models.cluster import Environment, Provider
from portal.dashboard.forms.problems import Fields, text_area

KUBECONFIG_BYTES = 64 * 1024


class CredentialsForm(Fields):
    """A kubeconfig, pasted or as a file."""

    kubeconfig = forms.CharField(
        required=False,
        strip=False,
        widget=text_area(10, placeholder="apiVersion: v1\nkind: Config\n…"),
        help_text="Pasted here or chosen as a file below. It may hold a server, a CA, and a token "
        "or client certificate; anything that runs programs or reads files is refused.",
    )
    kubeconfig_file = forms.FileField(required=False, label="or as a file")

    def clean_kubeconfig_file(self) -> str:
        upload = self.cleaned_data["kubeconfig_file"]
        if upload is None:
            return ""
        if upload.size > KUBECONFIG_BYTES:
            raise forms.ValidationError("A kubeconfig is at most 64 KB")
        try:
            return upload.read().decode()
        except UnicodeDecodeError:
            raise forms.ValidationError("This file is not text") from None

    def text(self) -> str | None:
        """The kubeconfig that was given, None without one."""
        given = self.cleaned_data
        return given.get("kubeconfig") or given.get("kubeconfig_file") or None


class ReplaceCredentialsForm(CredentialsForm):
    def clean(self) -> dict[str, Any]:
        given = super().clean()
        if not self.errors and self.text() is None:
            self.add_error("kubeconfig", "Paste a kubeconfig or choose a file")
        return given


class ClusterForm(CredentialsForm):
    """What `fleet.clusters.register` takes."""

    pointers = {"endpoint": "server"}

    name = forms.CharField(
        max_length=63, help_text="Lower case letters, digits and '-', such as eu-west-1"
    )
    region = forms.CharField(max_length=40, required=False)
    provider = forms.ChoiceField(choices=Provider.choices, initial=Provider.KUBERNETES)
    environment = forms.ChoiceField(choices=Environment.choices)
    server = forms.CharField(
        required=False,
        max_length=300,
        help_text="Address of the API server, such as https://10.0.0.10:6443",
    )
    ca_pem = forms.CharField(
        required=False,
        label="CA certificate",
        widget=text_area(5, placeholder="-----BEGIN CERTIFICATE-----"),
        help_text="Empty: the authorities this machine trusts",
    )
    token = forms.CharField(
        required=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
        help_text="Bearer token of a service account",
    )
    field_order = ["name", "region", "provider", "environment", "kubeconfig", "kubeconfig_file"]

    def clean(self) -> dict[str, Any]:
        given = super().clean()
        if self.text() is None and not given.get("server") and "kubeconfig_file" not in self.errors:
            self.add_error("kubeconfig", "Give a kubeconfig, or server and token below")
        return given

    def values(self) -> dict[str, Any]:
        """The arguments of the verb."""
        given = self.cleaned_data
        about = {key: given[key] for key in ("name", "region", "provider", "environment")}
        kubeconfig = self.text()
        if kubeconfig is not None:
            return {**about, "kubeconfig": kubeconfig}
        typed = Endpoint(server=given["server"], ca_pem=given["ca_pem"], token=given["token"])
        return {**about, "endpoint": typed}
