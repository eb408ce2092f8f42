"""Loads files of rows into a table of a store."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from penstock.backends.rows import OnConflict, Written
from penstock.cli import output
from penstock.cli.bar import Bar, rate
from penstock.cli.names import Target, store_argument
from penstock.cli.root import example, exit_code, json_option
from penstock.cli.state import State, pass_state
from penstock.errors import PenstockError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection, Dialect, Engine

    from penstock.loading import Found, Loading, LoadOptions, Mapped
    from penstock.query import Progress

_FORMATS = click.Choice(["csv", "jsonl", "parquet"])
_FILE = click.Path(exists=True, dir_okay=False, readable=True, allow_dash=True)


def _delimiter(ctx: click.Context, param: click.Parameter, given: str | None) -> str | None:
    found = {"\\t": "\t", "tab": "\t"}.get(given or "", given)
    if found is not None and (len(found) != 1 or not found.isascii() or found in '"\r\n'):
        raise click.BadParameter("Give one character, or 'tab'.")
    return found


def _names(ctx: click.Context, param: click.Parameter, given: Sequence[str]) -> dict[str, str]:
    from penstock.loading import renamed

    try:
        return renamed(given)
    except ValueError as error:
        raise click.BadParameter(f"Write FILE_COLUMN=TABLE_COLUMN, each once: {error}.") from None


def _keys(ctx: click.Context, param: click.Parameter, given: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for word in given for name in word.split(",") if name))


@click.command()
@store_argument
@click.argument("table", metavar="TABLE")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=_FILE)
@click.option("--format", "form", type=_FORMATS, help="Of the files; by default what their names say.")
@click.option("--delimiter", metavar="CHARACTER", callback=_delimiter, help="Of CSV; a comma by default.")
@click.option("--null", default="", metavar="WORD", help="What is NULL in CSV, without quotes; else nothing.")
@click.option(
    "--on-conflict",
    type=click.Choice([each.value for each in OnConflict]),
    default="error",
    help="What is done about a row that is there: an error (default), nothing, or it gets the new values.",
)
@click.option(
    "--key", multiple=True, metavar="COLUMN", callback=_keys,
    help="What tells whether a row is there, by default the primary key; repeatable, or with commas.",
)  # fmt: skip
@click.option(
    "--map", "names", multiple=True, metavar="FILE_COLUMN=TABLE_COLUMN", callback=_names,
    help="Where a column goes that is called otherwise; nowhere without TABLE_COLUMN. Repeatable.",
)  # fmt: skip
@click.option("--plan", is_flag=True, help="Show which column goes where, and store nothing.")
@json_option
@pass_state
@example(
    "penstock load my_first_app:example_db gage gages.csv",
    "penstock load lab:main gage a.parquet b.parquet --on-conflict update --key number",
    "zcat gages.csv.gz | penstock load lab:main gage - --format csv --map 'Site No=number'",
)
def load(state: State, /, store: Target, table: str, files: tuple[str, ...], **options: Any) -> None:
    """Load files of CSV, JSON lines or Parquet into TABLE, all of them in one transaction.

    All rows of all files are stored, or none: also when it is interrupted. TABLE may be SCHEMA.TABLE. Its
    types are those that the app declares in the store's metadata, else those of the database. The first line
    of CSV has the names of the columns. A FILE of - is standard input, which needs --format.
    """
    engine = state.stores.engine(state.app(store.app), store.name)
    found = _table(state, engine, store, table)
    how = _options(options)
    loadings = [_loading(name, found, how, options) for name in files]
    problem = _problem(loadings, how)
    if options["plan"]:
        show = _print_plan if options["as_json"] else _show_plan
        show(engine, table, found, loadings, problem)
    if problem is not None:
        raise problem
    if not options["plan"]:
        _load(engine, table, loadings, as_json=options["as_json"])


def _table(state: State, engine: Engine, store: Target, name: str) -> Found:
    from penstock.declare import StoreName
    from penstock.loading import find_table
    from penstock.provision.record import TABLE_NAME

    setting = state.app(store.app).find(StoreName(store.name).setting)
    return find_table(engine, name, getattr(setting, "metadata", None), but=[TABLE_NAME])


def _options(options: dict[str, Any]) -> LoadOptions:
    from penstock.loading import LoadOptions

    return LoadOptions(
        on_conflict=OnConflict(options["on_conflict"]), key=options["key"], names=options["names"]
    )


def _loading(name: str, found: Found, how: LoadOptions, options: dict[str, Any]) -> Loading:
    from penstock.loading import Dialect, Format, Loading, opened

    dialect = Dialect(delimiter=options["delimiter"], null=options["null"])
    kind = Format(options["form"]) if options["form"] else None
    return Loading(opened(name, kind, dialect), found.table, how)


# --- what will be done ----------------------------------------------------------------------------


def _show_plan(
    engine: Engine, name: str, found: Found, loadings: Sequence[Loading], _: PenstockError | None
) -> None:
    plans = _plans(engine, loadings)
    columns = [
        output.column("file column", "file_column"),
        output.column("its type", "file_type"),
        output.column("table column", "column"),
        output.column("its type", "type"),
        output.column("what is done", "fate"),
    ]
    types = "as the app declares it" if found.declared else "as the database has it"
    for loading, rows in zip(loadings, plans, strict=True):
        output.title(f"{loading.source.name} to {name}", types)
        output.listing("columns", rows, columns, as_json=False)


def _print_plan(
    engine: Engine, name: str, found: Found, loadings: Sequence[Loading], problem: PenstockError | None
) -> None:
    files = [
        {"file": loading.source.name, "rows": loading.source.rows, "columns": rows}
        for loading, rows in zip(loadings, _plans(engine, loadings), strict=True)
    ]
    error = output.problem_row(problem)
    output.document({"table": name, "declared": found.declared, "files": files, "error": error})
    if problem is not None:  # It is in the document.
        click.get_current_context().exit(exit_code(problem))


def _plans(engine: Engine, loadings: Sequence[Loading]) -> list[list[dict[str, Any]]]:
    return [[_row(each, engine.dialect) for each in loading.columns] for loading in loadings]


def _row(each: Mapped, dialect: Dialect) -> dict[str, Any]:
    from penstock.loading import type_of

    return {
        "file_column": each.file,
        "file_type": each.file_type,
        "column": "" if each.column is None else each.column.name,
        "type": "" if each.column is None else type_of(each.column, dialect),
        "fate": each.fate.value,
    }


def _problem(loadings: Sequence[Loading], how: LoadOptions) -> PenstockError | None:
    """Why nothing can be loaded; None if it can."""
    from penstock.loading import check_names

    try:
        check_names(how.names, {loading.source.name: loading.source.columns for loading in loadings})
        for loading in loadings:
            loading.check()
    except PenstockError as error:
        return error
    return None


# --- it is done -----------------------------------------------------------------------------------


def _load(engine: Engine, name: str, loadings: Sequence[Loading], *, as_json: bool) -> None:
    from penstock.loading import Transaction

    began = time.monotonic()
    transaction, bar = Transaction(engine), Bar([loading.source.size for loading in loadings])
    try:
        with bar.growing():
            done = transaction.run(partial(_load_all, loadings, bar), f"{name} can't be loaded.")
    except KeyboardInterrupt:
        unsure = f"It was not heard whether the rows were stored: look into {name}."
        output.say(unsure if transaction.committing else "\nNothing was stored.", err=True)
        raise
    _say_done(name, loadings, done, time.monotonic() - began, as_json=as_json)


def _load_all(loadings: Sequence[Loading], bar: Bar, connection: Connection) -> Written:
    done, rows = Written(), 0
    for number, loading in enumerate(loadings):
        bar.file(number, loading.source.name)
        done += loading.load(connection, partial(_told, bar, (number, loading, rows)))
        rows = done.inserted + done.updated + done.skipped
    return done


def _told(bar: Bar, where: tuple[int, Loading, int], progress: Progress) -> None:
    number, loading, before = where
    bar.told(number, loading.source.position, before + progress.rows)


def _say_done(
    name: str, loadings: Sequence[Loading], done: Written, seconds: float, *, as_json: bool
) -> None:
    counts = {"inserted": done.inserted, "updated": done.updated, "skipped": done.skipped}
    rows = sum(counts.values())
    if as_json:
        files = [loading.source.name for loading in loadings]
        output.document({"table": name, "files": files, **counts, "seconds": round(seconds, 3)})
        return
    said = ", ".join(f"{count:,} {word}" for word, count in counts.items())
    files_said = "1 file" if len(loadings) == 1 else f"{len(loadings)} files"
    output.done(f"{name}: {said}  ({rows:,} rows of {files_said} in {seconds:.1f} s, {rate(rows, seconds)})")
