"""Vendored scripts are byte for byte what their projects released."""

import hashlib
from pathlib import Path

VENDOR = Path(__file__).parents[2] / "portal/static/vendor"


def test_every_vendored_file_has_its_recorded_sha256() -> None:
    lines = (VENDOR / "SHA256SUMS").read_text().splitlines()
    recorded = {name: sha256 for sha256, name in (line.split() for line in lines)}
    found = {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest()
        for file in VENDOR.iterdir()
        if file.name != "SHA256SUMS"
    }
    assert found == recorded


def test_every_vendored_script_comes_with_its_licence() -> None:
    scripts = list(VENDOR.glob("*.min.js"))
    assert scripts
    for script in scripts:
        assert (VENDOR / script.name.replace(".min.js", ".LICENSE")).stat().st_size > 0
