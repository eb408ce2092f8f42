"""The broker's commands: take alerts in, show a light curve, write packets."""

from __future__ import annotations

import json
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from sqlalchemy.exc import SQLAlchemyError

from alert_broker.app import AlertBroker
from alert_broker.lightcurve import FILTERS, Epoch, LightCurve, UnknownObject, read_page, read_whole
from alert_broker.packets import PacketError, packet_files, read_alerts
from alert_broker.replay import Replay
from alert_broker.report import Report, Tally
from alert_broker.run import Batch, Done, IngestError, files_in_batches, replay_in_batches, store_all
from penstock import PenstockError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_FAILURES = (IngestError, PacketError, UnknownObject, PenstockError, SQLAlchemyError)

SOME_LEFT_OUT = 3
"""The exit code of a run that has stored everything but bad packets."""


@click.group()
def main() -> None:
    """An alert broker on a store of Penstock: run `penstock syncstores alert_broker` first."""


@main.command()
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@click.option("--replay", type=click.IntRange(1), help="Store so many synthetic alerts, made after PATHS.")
@click.option("--objects", type=click.IntRange(1), help="Of how many objects they are; default: a fifth.")
@click.option("--seed", type=click.IntRange(0, 699), default=0, help="Another one makes other alerts.")
@click.option("--processes", type=click.IntRange(1), default=1, show_default=True)
@click.option("--batch", type=click.IntRange(1), default=500, show_default=True, help="Alerts a transaction.")
@click.option("--skip-bad", is_flag=True, help="Leave out packets that can't be understood.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def ingest(paths: tuple[Path, ...], processes: int, as_json: bool, **how: Any) -> None:
    """Store the alerts of packets, or of every *.avro file in directories.

    It ends with 0 if all alerts are stored, with 3 if bad packets were left out (--skip-bad), with 1 if it
    was stopped by an error. Run it again then: what is stored already changes nothing.
    """
    with _failing():
        batches, total = _batches(paths, **how)
        report, bad = _run(batches, total, processes)
    for problem in bad:
        click.echo(f"left out: {problem}", err=True)
    click.echo(json.dumps(report.as_dict()) if as_json else "\n".join(report.lines()))
    sys.exit(SOME_LEFT_OUT if bad else 0)


def _batches(
    paths: tuple[Path, ...],
    *,
    replay: int | None,
    objects: int | None,
    seed: int,
    batch: int,
    skip_bad: bool,
) -> tuple[list[Batch], int]:
    """What is to be stored, and how many packets that is."""
    if not paths and replay is None:
        raise click.UsageError("Name packets or directories, or say --replay N.")
    files = packet_files(paths)
    if paths and not files:
        raise IngestError(f"there is no *.avro file in {', '.join(map(str, paths))}")
    if replay is None:
        return [*files_in_batches(files, batch, skip_bad=skip_bad)], len(files)
    templates = [alert for path in files for alert in read_alerts(path)]
    made = Replay(objects or max(1, replay // 5), seed, templates)
    return [*replay_in_batches(made, replay, batch)], replay


def _run(batches: list[Batch], total: int, processes: int) -> tuple[Report, list[str]]:
    tally = Tally()
    with _progress(total) as shown:

        def on_done(done: Done) -> None:
            tally.add(done)
            shown(done.new + done.known + len(done.bad))

        try:
            store_all(batches, processes, on_done)
        except IngestError as error:
            stored = f"{tally.new:,} alerts of other batches are stored; nothing of this one is."
            raise IngestError(f"{error}\n{stored} Run it again later: nothing is stored twice.") from error
    return tally.report(), tally.bad


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """A bar with the rate and the time that is left; nothing where there is no terminal."""
    console = Console(stderr=True)
    rate = TextColumn("{task.fields[rate]:,.0f} alerts/s")
    columns = (BarColumn(None), MofNCompleteColumn(), rate, TimeRemainingColumn())
    began = time.monotonic()
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("alerts", total=total, rate=0.0)

        def advance(count: int) -> None:
            done = progress.tasks[0].completed + count
            progress.update(task, advance=count, rate=done / (time.monotonic() - began))

        yield advance


@main.command()
@click.argument("oid")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@click.option("--plot", type=click.Path(path_type=Path, dir_okay=False), help="Draw all of it: .svg, .png.")
@click.option("--corrected", is_flag=True, help="Draw the magnitudes of the source itself.")
@click.option("--per-page", type=click.IntRange(1), default=50, show_default=True)
@click.option("--after", help="Go on where another page ended.")
@click.option("--before", help="Show what comes before another page.")
def lightcurve(oid: str, as_json: bool, plot: Path | None, corrected: bool, **page: Any) -> None:
    """Show the light curve of an object, a page at a time, or draw it."""
    with _failing(), AlertBroker.alerts.session() as session:
        if plot is not None:
            _draw(read_whole(session, oid), plot, corrected=corrected)
            click.echo(f"made {plot}")
            return
        curve = read_page(session, oid, **page)
    click.echo(json.dumps(curve.as_dict(), indent=1) if as_json else "\n".join(_table(curve)))


def _draw(curve: LightCurve, path: Path, *, corrected: bool) -> None:
    from alert_broker.plot import save

    try:
        save(curve, path, corrected=corrected)
    except (OSError, ValueError) as error:
        raise click.ClickException(f"{path}: {error}") from error


def _table(curve: LightCurve) -> Iterator[str]:
    yield f"{curve.oid}\n\n{'MJD':>12} filter {'magnitude':>15} {'corrected':>15} {'limit':>7}"
    yield from map(_line, curve.epochs)
    for name, cursor in (("after", curve.next), ("before", curve.prev)):
        if cursor:
            yield f"\n--{name} {cursor}"


def _line(epoch: Epoch) -> str:
    cells = (_figure(epoch.mag, epoch.sigma), _figure(epoch.mag_corr, epoch.sigma_corr), _figure(epoch.limit))
    seen, corrected, limit = cells
    filter_ = FILTERS.get(epoch.fid, str(epoch.fid))
    return f"{epoch.mjd:12.5f} {filter_:6} {seen:>15} {corrected:>15} {limit:>7}".rstrip()


def _figure(value: float | None, sigma: float | None = None) -> str:
    return "" if value is None else f"{value:.3f}" + ("" if sigma is None else f" ± {sigma:.3f}")


@main.command()
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
@click.option("--count", type=click.IntRange(1), default=60, show_default=True, help="How many alerts.")
@click.option("--objects", type=click.IntRange(1), default=5, show_default=True, help="Of how many objects.")
@click.option("--seed", type=click.IntRange(0, 699), default=0, help="Another one makes other alerts.")
def packets(directory: Path, count: int, objects: int, seed: int) -> None:
    """Write synthetic alerts as packets, one file each, for who has no real ones."""
    from alert_broker.template import write_packet

    directory.mkdir(parents=True, exist_ok=True)
    replay = Replay(objects, seed)
    for alert in map(replay.alert, range(count)):
        write_packet(directory / f"{alert['candid']}.avro", [alert])
    click.echo(f"made {count} packets in {directory}")


@contextmanager
def _failing() -> Iterator[None]:
    """Say what went wrong, and end with exit code 1."""
    try:
        yield
    except _FAILURES as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    main(prog_name="python -m alert_broker")
