"""The `controls` command. Each group of commands has a module of its own."""

from __future__ import annotations

import typer

from controls.bootstrap import configure_logging
from controls.cli import (
    administration,
    bench,
    decisions,
    demo,
    directory,
    duties,
    ledger,
    operate,
    replay,
    rules,
    serve,
)

app = typer.Typer(
    name="controls",
    help="Compliance rules and duty separation for order-to-settlement chains, with provable records.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)
app.command("init")(operate.init)
app.command("migrate")(operate.migrate)
app.command("serve")(serve.serve)
app.command("demo")(demo.demo)
app.command("replay")(replay.replay)
app.command("bench")(bench.bench)
app.add_typer(rules.app, name="rules")
app.add_typer(duties.app, name="duties")
app.add_typer(decisions.app, name="decisions")
app.add_typer(directory.app, name="directory")
app.add_typer(administration.keys, name="keys")
app.add_typer(administration.changes, name="changes")
app.add_typer(administration.release, name="release")
app.add_typer(ledger.app, name="ledger")


def main() -> None:
    """Run the command line."""
    configure_logging("warning")  # else warnings would be among the data on stdout; `serve` says its own
    app()


if __name__ == "__main__":
    main()
