"""`controls serve --watch`: a folder of rule files that is published as soon as it is right, for trying out.

Guarantees: only outside production, and only on a ledger whose name says that it is a demo's; what is
published compiled, passed its examples and is an entry that says that no administrator stands behind it;
what is broken is told with file, line and column, and the release in force stays. So it does where a
parameter of law is loosened; where nobody can tell whether one is, that is told with what is published.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from controls.bootstrap import read_rule_files
from controls.cli.output import ERR, tell
from controls.model.errors import ControlsError, InvalidInput
from controls.services.release_changes import Publish
from controls.services.service import Service
from controls.services.signing import DEMO_PREFIX
from controls.settings import Mode, Settings

# How often the folder is looked at. A change is taken once it has held still for as long, so that a file that
# an editor is still writing is not told as broken.
LOOK_SECONDS: Final = 0.5


def check_watchable(settings: Settings, *, origin: str, folder: Path) -> None:
    """Refuse to watch where a person has to answer for each release.

    Raises:
        InvalidInput: production mode, or a ledger that is no demo's; or there is no such folder.
    """
    if settings.mode is Mode.PRODUCTION or not origin.startswith(DEMO_PREFIX):
        why = "in production mode" if settings.mode is Mode.PRODUCTION else f"on the ledger {origin}"
        raise InvalidInput(
            "watch_refused",
            f"A folder is not watched {why}",
            detail="What is watched is published by nobody; releases in force need two administrators.",
            help="Propose the release: controls release activate FOLDER. To try things out, start a ledger "
            f"with CONTROLS_MODE=demo and an --origin that begins with {DEMO_PREFIX}.",
        )
    read_rule_files(folder)


async def watch(service: Service, folder: Path) -> None:
    """Publish the folder now and after each change of it. Runs until it is cancelled."""
    before = handled = None
    while True:
        found = await asyncio.to_thread(_look, folder)
        if found == before and found != handled:
            handled = found
            if isinstance(found, str):
                _tell_kept(found)
            else:
                await _publish(service, found, folder)
        before = found
        await asyncio.sleep(LOOK_SECONDS)


def _look(folder: Path) -> Mapping[str, str] | str:
    """The rule files, or why they cannot be read."""
    try:
        return read_rule_files(folder)
    except (ControlsError, OSError) as error:  # such as a folder that is being replaced, or no UTF-8
        return str(error)


async def _publish(service: Service, files: Mapping[str, str], folder: Path) -> None:
    """Try the files and publish them; whatever is wrong is told, and nothing else happens."""
    try:
        change = await service.releases.of_files(files)
        active = service.state.active
        if active is not None and active.release.digest == change.digest:
            ERR.print(f"{folder} is the release in force, {change.digest}.", markup=False)
            return
        await service.writer.submit(Publish(service.new_id("pub"), change))
    except (ControlsError, OSError) as error:
        _tell_kept(error)
    else:
        ERR.print(f"Published {change.digest}: {change.contents}.", style="green", markup=False)
        if change.about_law:
            words = f"Nobody confirms this release, so look at it yourself: {change.about_law}."
            ERR.print(words, style="bold yellow", markup=False)


def _tell_kept(wrong: str | ControlsError | OSError) -> None:
    ERR.print("Not published; the last good release stays in force.", style="bold red", markup=False)
    if isinstance(wrong, ControlsError):
        tell(wrong)
    else:
        ERR.print(str(wrong), markup=False)
