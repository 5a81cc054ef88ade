"""`controls ledger`: the ledger as a file for outsiders, and its newest checkpoint."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import Annotated, BinaryIO, cast

import typer

from controls.bootstrap import open_signer
from controls.cli.output import ERR, JsonOption, guarded, print_json, progress_bar
from controls.cli.troubles import database_explained, unwritable
from controls.model.errors import VerificationFailed
from controls.services.ledger_export import export_ledger
from controls.services.queries import Queries
from controls.settings import Settings
from controls.store.database import Database

app = typer.Typer(help="Export the ledger and show its checkpoint.", no_args_is_help=True)


@app.command()
@guarded
def export(
    output: Annotated[Path, typer.Option(help="File to write; compressed when it ends in .gz.")],
    to: Annotated[
        int | None, typer.Option(help="Number of entries, of a signed checkpoint; all when left out.")
    ] = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Write all entries, releases, directories and checkpoints, for `controls-verify`."""
    settings = Settings()
    with database_explained(settings.database_url):
        entries = asyncio.run(export_to(settings, output, size=to))
    if as_json:
        print_json({"file": str(output), "entries": entries})
    else:
        ERR.print(f"{entries} entries written to {output}. Verify: controls-verify {output} --key VKEY")


async def export_to(settings: Settings, output: Path, *, size: int | None = None) -> int:
    """Write the export to a new file; how many entries it holds. Half a file is never left behind."""
    signer = open_signer(settings)
    aside = _beside(output)
    database = Database(settings.database_url)
    done = 0
    try:
        with _open(aside, compress=output.suffix == ".gz") as file, progress_bar() as bar:
            task = bar.add_task("Exporting", total=None)

            def progress(count: int, total: int) -> None:
                nonlocal done
                done = count
                if count % 256 == 0 or count == total:
                    bar.update(task, completed=count, total=total)

            exported = export_ledger(
                database,
                settings.tenant,
                origin=signer.origin,
                vkey=signer.vkey,
                size=size,
                progress=progress,
            )
            async with aclosing(cast("AsyncGenerator[bytes, None]", exported)) as lines:
                async for line in lines:
                    file.write(line)
        aside.replace(output)
    except OSError as error:
        raise unwritable(output, error) from None
    except ValueError as error:  # what is stored is not what was stored
        raise VerificationFailed(
            "ledger_damaged",
            "The ledger in the database is damaged",
            detail=str(error),
            help="Somebody bypassed the database's guards: keep the database as evidence and restore a "
            "backup.",
        ) from error
    finally:
        _remove(aside)
        await database.close()
    return done


def _beside(output: Path) -> Path:
    """The file that is written before it becomes `output`."""
    if output.is_dir() or not output.name:
        raise unwritable(output, IsADirectoryError("it is a folder"))
    return output.with_name(output.name + ".part")


def _remove(path: Path) -> None:
    if path.is_file():
        path.unlink()


@contextmanager
def _open(path: Path, *, compress: bool) -> Iterator[BinaryIO]:
    with path.open("wb") as file:
        if compress:
            # No file name and no time in the header, so that equal ledgers give equal files.
            with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed:
                yield cast("BinaryIO", packed)
        else:
            yield file


@app.command()
@guarded
def checkpoint(*, as_json: JsonOption = False) -> None:
    """Print the newest signed checkpoint: keep it somewhere the database's administrator cannot reach."""
    settings = Settings()

    async def read() -> str:
        database = Database(settings.database_url)
        try:
            return await Queries(database, settings.tenant).checkpoint()
        finally:
            await database.close()

    with database_explained(settings.database_url):
        note = asyncio.run(read())
    if as_json:
        origin, size, root = note.splitlines()[:3]
        print_json({"origin": origin, "entries": int(size), "root": root, "checkpoint": note})
    else:
        typer.echo(note, nl=False)
