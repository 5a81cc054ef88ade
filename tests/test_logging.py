"""The log: a service whose log nobody takes goes on deciding."""

from __future__ import annotations

import os
import subprocess
import sys

WRITES = """
import sys
import structlog
from controls.bootstrap import configure_logging

configure_logging("warning")
log = structlog.get_logger("controls.test")
log.warning("before")
{breaks}
log.warning("after")
print("went on")
"""


def written(breaks: str, *, stderr: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", WRITES.format(breaks=breaks)],
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_log_that_nobody_takes_stops_nothing() -> None:
    """The reader of the pipe is gone, and then the file is closed as well."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = written("sys.stderr.close()", stderr=writer)
    finally:
        os.close(writer)
    assert done.stdout == "went on\n"


def test_lines_go_where_stderr_is_when_they_are_written() -> None:
    """Not where it was when logging began: a file put in its place may be closed by then."""
    done = written("kept, sys.stderr = sys.stderr, open('/dev/null', 'w')", stderr=subprocess.PIPE)
    assert done.stdout == "went on\n"
    assert [line.partition('"event":')[2][:8] for line in done.stderr.splitlines()] == ['"before"']
