"""Every block of the README does what it says.

Blocks with a file name after the language are written to that file; `sh` blocks run one after the other in
one shell; a `json` or `text` block after them is what the last one printed, where … stands for anything.
The `make` commands have tests of their own: `make test` is what runs this, `make demo` is tests/cli.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"
PORT = "8080"
MARK = "@@@ end of block @@@"
RUN_ELSEWHERE = re.compile(r"make (demo|test)( ONCE=1)?")


@dataclass(frozen=True)
class Block:
    line: int
    language: str
    file: str
    text: str


def blocks() -> Iterator[Block]:
    lines = README.read_text(encoding="utf-8").splitlines()
    start, info, held = 0, None, []
    for number, line in enumerate(lines, start=1):
        if line.startswith("```"):
            if info is None:
                start, info, held = number, line[3:].strip(), []
            else:
                language, _, file = info.partition(" ")
                yield Block(start, language, file, "\n".join(held) + "\n")
                info = None
        elif info is not None:
            held.append(line)
    assert info is None, f"README.md:{start}: this block does not end"


def matches(expected: object, got: object) -> bool:
    """Whether `got` is what the README shows, with … for anything and further members allowed."""
    if expected == "…":
        return True
    if isinstance(expected, dict):
        return isinstance(got, dict) and all(
            name in got and matches(item, got[name]) for name, item in expected.items()
        )
    if isinstance(expected, list):
        return (
            isinstance(got, list)
            and len(expected) == len(got)
            and all(matches(one, other) for one, other in zip(expected, got, strict=True))
        )
    if isinstance(expected, str) and "…" in expected:
        return isinstance(got, str) and like(expected, got)
    return expected == got


def like(expected: str, got: str) -> bool:
    pattern = ".*".join(re.escape(part) for part in expected.split("…"))
    return re.fullmatch(pattern, got, re.DOTALL) is not None


def test_every_block_of_the_readme_does_what_it_says(tmp_path: Path) -> None:
    """A newcomer who copies the blocks in order sees what the README shows."""
    found = list(blocks())
    assert {block.language for block in found} <= {"sh", "json", "text", "csv", "yaml"}
    (tmp_path / "rules").symlink_to(README.parent / "rules")  # the blocks are run in a checkout
    script = ["set -e", "trap 'kill $(jobs -p) 2>/dev/null' EXIT"]
    steps: list[Block] = []
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    for block in found:
        if block.file:
            path = tmp_path / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
        elif block.language == "sh" and not RUN_ELSEWHERE.search(block.text):
            script += [block.text.replace(PORT, port), f"echo '{MARK}'"]
            steps.append(block)
    assert len(steps) >= 5
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CONTROLS_")}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    with subprocess.Popen(
        ["bash", "-c", "\n".join(script)],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as bash:
        try:
            output, errors = bash.communicate(timeout=240)
        finally:  # a service that was started goes with it, whatever happened
            with suppress(ProcessLookupError):
                os.killpg(bash.pid, signal.SIGKILL)
    assert bash.returncode == 0, f"{output}\n{errors}"
    printed = output.split(f"{MARK}\n")
    shown = 0
    for before, block in itertools.pairwise(found):
        if before in steps and not block.file and block.language in ("json", "text"):
            got = printed[steps.index(before)]
            said = block.text.replace(PORT, port)
            shown += 1
            if block.language == "json":
                assert matches(json.loads(said), json.loads(got)), f"README.md:{block.line}: it prints {got}"
            else:
                assert like(said.strip(), got.strip()), f"README.md:{block.line}: it prints {got}"
    assert shown >= 3
