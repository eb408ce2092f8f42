"""What installing an app would do, before anything is done."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from penstock.install.commands import Command, as_path, pip
from penstock.install.conda import Remark
from penstock.install.legacy import SETUPTOOLS, has_setuptools, imports_tethys
from penstock.install.links import FILE_NAME, LinkFile, RequestedLink, read_links
from penstock.install.manifest import Manifest, read_manifest
from penstock.install.requirements import requirements_of
from penstock.install.scripts import scripts

_PROJECT = ("pyproject.toml", "setup.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallArguments:
    """What the operator asks for.

    Args:
        deps: Whether requirements are installed.
        sync: Whether the stores are synced.
        editable: Whether the app stays where it is, to be worked on.
    """

    deps: bool = True
    sync: bool = True
    editable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallPlan:
    """What will be done, in this order.

    Args:
        app: The app's package.
        folder: Where it is.
        source: The file that says all this.
        pip: The runs of pip: for what the app requires, and for the app itself.
        links: What is linked to its settings.
        sync: Whether its stores are synced.
        scripts: What is run in the end.
        is_project: Whether pip can install it; if not, it is used from where it is.
        remarks: What is not done, and what to do instead.
    """

    app: str
    folder: Path
    source: str
    pip: tuple[Command, ...] = ()
    links: tuple[RequestedLink, ...] = ()
    sync: bool = True
    scripts: tuple[Command, ...] = ()
    is_project: bool = True
    remarks: tuple[Remark, ...] = ()


def plan_install(folder: Path, arguments: InstallArguments) -> InstallPlan:
    """Read what a folder says of its app, and plan; changes nothing.

    Args:
        folder: Has `install.yml`, maybe `services.yml`, and the app.
        arguments: What is asked for.

    Raises:
        ConfigError: Something in those files is wrong, or can't be read.
        MissingExtra: PyYAML is not installed.
    """
    manifest, file = read_manifest(folder), read_links(folder)
    needed = requirements_of(manifest, folder)
    is_project = any((folder / name).is_file() for name in _PROJECT)
    runs: list[Command] = []
    if arguments.deps and needed.pip:
        runs.append(pip("install requirements", "install", *needed.pip))
    if is_project:
        runs += _install(folder, arguments)
    return InstallPlan(
        app=manifest.name,
        folder=folder,
        source=manifest.label,
        pip=tuple(runs),
        links=file.links,
        sync=arguments.sync,
        scripts=scripts(manifest.post, folder),
        is_project=is_project,
        remarks=(
            *_repeated(manifest, file),
            *_skipped(manifest),
            *(needed.remarks if arguments.deps else ()),
            *_others(file),
        ),
    )


def _install(folder: Path, arguments: InstallArguments) -> list[Command]:
    options = [] if arguments.deps else ["--no-deps"]
    options += ["--editable"] if arguments.editable else []
    if not imports_tethys(folder):
        return [pip("install app", "install", *options, as_path(folder))]
    install = pip("install app", "install", "--no-build-isolation", *options, as_path(folder))
    tools = () if has_setuptools() else (pip("install requirements", "install", SETUPTOOLS),)
    return [*tools, replace(install, stands_in=True)]


def _repeated(manifest: Manifest, file: LinkFile) -> list[Remark]:
    return [Remark(what=each, to_do="Remove one.") for each in (*manifest.repeated, *file.repeated)]


def _skipped(manifest: Manifest) -> list[Remark]:
    left = len(manifest.conda) + len(manifest.pip) + len(manifest.npm)
    if not (manifest.skip and left):
        return []
    return [Remark(what=f"requirements of {manifest.name} are not installed", why="skip is true.")]


def _others(file: LinkFile) -> list[Remark]:
    found = [
        Remark(what=f"{setting} is not linked: no service is named for it ({where})")
        for setting, where in file.empty.items()
    ]
    if file.others:
        names = ", ".join(f"{name} ({where})" for name, where in file.others.items())
        found.append(
            Remark(
                what=f"not Penstock's, so left alone: {names}", why=f"Of {FILE_NAME}, it reads persistent."
            )
        )
    return found
