"""`deploy/controls.service`: systemd understands it, and it stays hardened."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.databases import PROJECT

UNIT = PROJECT / "deploy" / "controls.service"
PROGRAM = "/opt/controls/bin/controls"
# systemd's own scale from 0 (least exposed) to 10; a service that needs the network cannot reach 0.
MOST_EXPOSURE_TENTHS = 20


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit with a program that exists on this machine."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("NOT TESTED: no systemd-analyze on this machine")
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text(encoding="utf-8").replace(PROGRAM, str(shutil.which("true"))))
    return copy


def test_systemd_understands_every_line(unit: Path) -> None:
    """No unknown key, no value out of range."""
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True)
    assert (done.returncode, [line for line in done.stderr.splitlines() if UNIT.name in line]) == (0, [])


def test_the_service_is_hardened(unit: Path) -> None:
    """systemd's own review gives at most 2.0 of 10 points of exposure."""
    options = subprocess.run(["systemd-analyze", "--help"], capture_output=True, text=True).stdout
    if "--offline" not in options:
        pytest.skip("NOT TESTED: systemd is older than 250 and cannot review a file")
    command = ["systemd-analyze", "security", "--offline=true", f"--threshold={MOST_EXPOSURE_TENTHS}", unit]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-500:] + done.stderr
