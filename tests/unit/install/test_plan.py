"""The plan of an installation names every program before anything is done."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from penstock import MemoryRegistry
from penstock.errors import ConfigProblems, PenstockError
from penstock.install import InstallArguments, carry_out, need_same, own_versions, plan_install
from penstock.install.commands import Command, as_path
from penstock.install.fields import Item
from penstock.install.scripts import scripts

PIP = (sys.executable, "-m", "pip", "install")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an app in it, seen from the working directory."""
    monkeypatch.chdir(tmp_path)
    folder = Path("lab")
    folder.mkdir()
    (folder / "install.yml").write_text("name: lab\npip: [one, two>=2]\nconda: {packages: [gdal]}\n")
    return folder


def test_pip_installs_what_is_required_and_then_the_app(folder: Path) -> None:
    (folder / "pyproject.toml").touch()
    plan = plan_install(folder, InstallArguments(editable=True))
    assert [command.words for command in plan.pip] == [
        (*PIP, "one", "two>=2"),
        (*PIP, "--editable", "./lab"),
    ]
    assert (plan.app, plan.source, plan.sync, plan.is_project) == ("lab", "lab/install.yml", True, True)
    assert len(plan.remarks) == 1


def test_without_dependencies_pip_is_told_so(folder: Path) -> None:
    (folder / "setup.py").touch()
    plan = plan_install(folder, InstallArguments(deps=False, sync=False))
    assert [command.words for command in plan.pip] == [(*PIP, "--no-deps", "./lab")]
    assert (plan.sync, plan.remarks) == (False, ())


OLD_SETUP = (
    "from setuptools import setup\nfrom tethys_apps.app_installation import find_resource_files\nsetup()\n"
)


def test_a_setup_that_imports_tethys_is_built_where_penstock_is(folder: Path) -> None:
    (folder / "install.yml").write_text("name: lab\n")
    (folder / "setup.py").write_text(OLD_SETUP)
    *tools, install = plan_install(folder, InstallArguments(editable=True)).pip
    assert (install.words, install.stands_in) == (
        (*PIP, "--no-build-isolation", "--editable", "./lab"),
        True,
    )
    assert [each.words for each in tools] in ([], [(*PIP, "setuptools>=70.1")])


@pytest.mark.parametrize(
    ("setup", "project"),
    [
        ("from setuptools import setup\nsetup()  # not from tethys_apps\n", None),
        (OLD_SETUP, '[build-system]\nbuild-backend = "hatchling.build"\n'),
    ],
)
def test_every_other_project_is_built_as_ever(folder: Path, setup: str, project: str | None) -> None:
    (folder / "install.yml").write_text("name: lab\n")
    (folder / "setup.py").write_text(setup)
    if project is not None:
        (folder / "pyproject.toml").write_text(project)
    assert [each.words for each in plan_install(folder, InstallArguments()).pip] == [(*PIP, "./lab")]


def test_a_build_finds_what_stands_for_the_modules_of_tethys(tmp_path: Path) -> None:
    place = tmp_path / "tethysapp" / "lab" / "public"
    place.mkdir(parents=True)
    (place / "main.css").touch()
    program = """
from setuptools.command.develop import develop
from tethys_apps.app_installation import custom_develop_command, find_all_resource_files, find_resource_files
from tethys_apps.base.app_base import TethysAppBase
assert issubclass(custom_develop_command("lab", "lab", []), develop)
assert find_all_resource_files("lab", TethysAppBase.package_namespace) == ["public/main.css"]
assert find_resource_files("tethysapp/lab/public") == ["../tethysapp/lab/public/main.css"]
"""
    command = Command(
        action="build", words=(sys.executable, "-W", "ignore", "-c", program), folder=tmp_path, stands_in=True
    )
    carry_out(command, "lab", MemoryRegistry())


def test_what_is_there_twice_is_said(folder: Path) -> None:
    (folder / "install.yml").write_text("name: lab\nname: lab\n")
    [remark] = plan_install(folder, InstallArguments()).remarks
    assert remark.what == "lab/install.yml:2: name is there twice, and line 1 is not read"


def test_a_folder_that_is_no_project_is_used_as_it_is(folder: Path) -> None:
    (folder / "install.yml").write_text("name: lab\nskip: true\npip: [one]\n")
    plan = plan_install(folder, InstallArguments())
    assert (plan.pip, plan.is_project) == ((), False)
    assert [remark.why for remark in plan.remarks] == ["skip is true."]


def test_a_path_is_never_taken_for_the_name_of_a_distribution() -> None:
    paths = {"lab": "./lab", ".": ".", "../lab": "../lab", "..": "..", "/srv/lab": "/srv/lab", "-x": "./-x"}
    assert {path: as_path(Path(path)) for path in paths} == paths


def test_what_is_for_somebody_else_is_said(folder: Path) -> None:
    (folder / "install.yml").write_text("name: lab\n")
    (folder / "services.yml").write_text("persistent:\n  a: main\n  b:\nspatial:\n  c: maps\n")
    plan = plan_install(folder, InstallArguments())
    assert [(link.setting, link.service, link.where) for link in plan.links] == [
        ("a", "main", "lab/services.yml:2")
    ]
    assert [remark.what for remark in plan.remarks] == [
        "b is not linked: no service is named for it (lab/services.yml:3)",
        "not Penstock's, so left alone: spatial (lab/services.yml:4)",
    ]


# --- scripts --------------------------------------------------------------------------------------


def item(text: str) -> tuple[Item, ...]:
    return (Item(text=text, where="install.yml:7"),)


def test_a_script_is_run_by_itself_and_python_by_this_python(tmp_path: Path) -> None:
    for name in ("seed.py", "a b.sh"):
        (tmp_path / name).touch(mode=0o755)
    [by_python] = scripts(item("seed.py --all"), tmp_path)
    assert (by_python.words, by_python.folder) == (
        (sys.executable, str(tmp_path / "seed.py"), "--all"),
        tmp_path,
    )
    [by_itself] = scripts(item("'a b.sh' x"), tmp_path)
    assert by_itself.words == (str(tmp_path / "a b.sh"), "x")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nothing.sh", "There is no file 'nothing.sh'"),
        ("nothing.py", "There is no file 'nothing.py'"),
        ("plain.sh", "'plain.sh' can't be executed"),
        ("'plain.sh", "A quotation has no end"),
    ],
)
def test_a_script_that_can_not_be_run_is_told_before_anything_is_done(
    tmp_path: Path, text: str, expected: str
) -> None:
    (tmp_path / "plain.sh").touch(mode=0o644)
    with pytest.raises(ConfigProblems) as caught:
        scripts(item(text), tmp_path)
    assert str(caught.value.problems[0]).startswith(f"install.yml:7: post: {expected}")


# --- running --------------------------------------------------------------------------------------


def command(*words: str) -> Command:
    return Command(action="run script", words=words)


def test_what_is_run_is_journalled_with_how_it_ended() -> None:
    registry = MemoryRegistry()
    carry_out(command("true"), "lab", registry)
    for words, why in (
        (("sh", "-c", "exit 3"), "Exit code 3."),
        (("sh", "-c", "kill -9 $$"), "It was ended by signal 9."),
        (("/nothing/at/all",), "No such file or directory"),
    ):
        with pytest.raises(PenstockError) as caught:
            carry_out(command(*words), "lab", registry)
        assert caught.value.why == why
    entries = registry.journal()
    assert [(entry.action, entry.subject) for entry in entries] == [("run script", "lab")] * 4
    assert [entry.result.partition(":")[0] for entry in entries] == ["install-failed"] * 3 + ["done"]
    assert entries[-1].detail == {"command": "true"}


def test_a_script_without_a_first_line_is_run_by_the_shell(tmp_path: Path) -> None:
    script = tmp_path / "a.sh"
    script.write_text('echo "$1" > said\n')
    script.chmod(0o755)
    carry_out(
        Command(action="run script", words=(str(script), "a b"), folder=tmp_path), "lab", MemoryRegistry()
    )
    assert (tmp_path / "said").read_text() == "a b\n"


def test_credentials_in_an_address_are_neither_shown_nor_journalled() -> None:
    registry = MemoryRegistry()
    carry_out(command("true", "lab @ git+https://me:s3cret@example.org/lab"), "lab", registry)
    assert "s3cret" not in json.dumps(dict(registry.journal()[0].detail))
    assert str(command("pip", "git+https://t0ken@example.org/lab")) == "pip 'git+https://***@example.org/lab'"


def test_a_process_whose_own_packages_were_exchanged_does_not_go_on() -> None:
    before = own_versions()
    assert {"penstock", "sqlalchemy", "click"} <= set(before)
    need_same(before)
    with pytest.raises(PenstockError, match=r"click 1\.0 by ") as caught:
        need_same(before | {"click": "1.0"})
    assert "once more" in caught.value.hint
