"""Certificates and keys: are they usable, and until when."""

from __future__ import annotations

from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


def certificate_fault(text: str) -> str:
    """Why this is not PEM text of one or more X.509 certificates, or ""."""
    try:
        _certificates(text)
    except Exception:  # noqa: BLE001 - any parser error means the same to the caller
        return "not a PEM certificate"
    return ""


def key_fault(key: str, certificate: str) -> str:
    """Why this is not the unencrypted PEM key of the (valid) certificate, or ""."""
    try:
        private = serialization.load_pem_private_key(key.encode(), password=None)
    except TypeError:
        return "the key is encrypted; give it without a passphrase"
    except Exception:  # noqa: BLE001
        return "not a PEM private key"
    if _spki(private.public_key()) != _spki(_certificates(certificate)[0].public_key()):
        return "the key does not belong to the client certificate"
    return ""


def not_after(certificate: str) -> datetime | None:
    """End of the first certificate's validity (aware, UTC), None if it cannot be read."""
    try:
        return _certificates(certificate)[0].not_valid_after_utc
    except Exception:  # noqa: BLE001
        return None


def _certificates(text: str) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(text.encode())


def _spki(key: object) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined]
