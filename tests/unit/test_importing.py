"""What somebody else could have written is not imported from a project's folder."""

from __future__ import annotations

import importlib
import os
import py_compile
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from penstock.errors import AppUnsafe
from penstock.importing import look_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SOMEBODY = 54321
RUN = "from pathlib import Path; Path({mark!r}).touch(); value = {value}"

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder whose modules can be imported, forgotten after the test."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    look_in([str(folder)])
    yield folder
    for name in set(sys.modules) - before:
        if name.startswith("p_"):
            del sys.modules[name]


@pytest.fixture
def write(project: Path, tmp_path: Path) -> Callable[..., Path]:
    """Writes a module that leaves a mark when it is run."""

    def write(path: str, value: int = 1) -> Path:
        file = project / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(RUN.format(mark=str(tmp_path / "was run"), value=value))
        importlib.invalidate_caches()
        return file

    return write


def was_run(project: Path) -> bool:
    return (project.parent / "was run").exists()


@pytest.mark.parametrize("path", ["p_mod.py", "p_pack/__init__.py", "p_space/deep/p_mod.py"])
def test_a_module_of_this_user_is_imported(project: Path, write: Callable[..., Path], path: str) -> None:
    write(path)
    name = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    assert importlib.import_module(name).value == 1
    assert was_run(project)


@pytest.mark.parametrize(
    "path", ["p_mod.py", "p_pack/__init__.py", "p_pack/p_sub.py", "p_space/deep/p_mod.py"]
)
def test_a_module_that_every_user_may_change_is_not_run(
    project: Path, write: Callable[..., Path], path: str
) -> None:
    file = write(path)
    file.chmod(0o666)
    name = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    with pytest.raises(AppUnsafe, match="can be changed by every user") as caught:
        importlib.import_module(name)
    assert caught.value.hint == f"Read it; then: chmod o-w {file}"
    assert not was_run(project)


def test_a_module_in_a_folder_where_every_user_may_exchange_it_is_not_run(
    project: Path, write: Callable[..., Path]
) -> None:
    write("p_pack/__init__.py").parent.chmod(0o777)
    with pytest.raises(AppUnsafe, match="exchange files"):
        importlib.import_module("p_pack")
    assert not was_run(project)


@only_root
def test_a_module_of_another_user_is_not_run(project: Path, write: Callable[..., Path]) -> None:
    os.chown(write("p_mod.py"), SOMEBODY, -1)
    with pytest.raises(AppUnsafe, match="belongs to another user") as caught:
        importlib.import_module("p_mod")
    assert f"Its owner is user {SOMEBODY}" in caught.value.why
    assert not was_run(project)


def test_a_link_to_what_every_user_may_change_is_not_followed(
    project: Path, write: Callable[..., Path]
) -> None:
    file = write("elsewhere/real.py")
    file.chmod(0o666)
    (project / "p_mod.py").symlink_to(file)
    importlib.invalidate_caches()
    with pytest.raises(AppUnsafe):
        importlib.import_module("p_mod")
    assert not was_run(project)


def test_bytecode_that_every_user_may_change_is_made_anew(project: Path, write: Callable[..., Path]) -> None:
    file = write("p_mod.py", value=2)
    planted = py_compile.compile(str(file), doraise=True)
    assert planted is not None
    facts = file.stat()
    write("p_mod.py", value=3)
    os.utime(
        file, ns=(facts.st_atime_ns, facts.st_mtime_ns)
    )  # Python takes the old bytecode for the new file's.
    os.chmod(planted, 0o666)  # noqa: S103  (what is tested)
    assert importlib.import_module("p_mod").value == 3


def test_bytecode_alone_is_looked_at_too(project: Path, write: Callable[..., Path]) -> None:
    file = write("p_mod.py")
    bytecode = project / "p_mod.pyc"
    py_compile.compile(str(file), cfile=str(bytecode), doraise=True)
    file.unlink()
    bytecode.chmod(0o666)
    importlib.invalidate_caches()
    with pytest.raises(AppUnsafe):
        importlib.import_module("p_mod")
    bytecode.chmod(0o644)
    assert importlib.import_module("p_mod").value == 1


def test_a_compiled_extension_is_looked_at_too(project: Path) -> None:
    file = project / f"p_mod{importlib.machinery.EXTENSION_SUFFIXES[0]}"
    file.write_bytes(b"not really")
    file.chmod(0o666)
    importlib.invalidate_caches()
    with pytest.raises(AppUnsafe):
        importlib.import_module("p_mod")
    file.chmod(0o644)
    with pytest.raises(ImportError):  # Of the system's loader, which was asked this time.
        importlib.import_module("p_mod")


def test_what_lies_beside_code_is_read_as_ever(project: Path, write: Callable[..., Path]) -> None:
    import pkgutil

    write("p_pack/__init__.py")
    data = project / "p_pack" / "data.txt"
    data.write_text("gages")
    data.chmod(0o666)
    assert pkgutil.get_data("p_pack", "data.txt") == b"gages"


def test_a_named_pipe_is_no_module(project: Path) -> None:
    os.mkfifo(project / "p_mod.py")
    importlib.invalidate_caches()
    with pytest.raises(ImportError):
        importlib.import_module("p_mod")


def test_nothing_in_a_project_shadows_what_is_installed(project: Path, write: Callable[..., Path]) -> None:
    write("sqlalchemy/__init__.py")
    code = (
        f"import sys; from penstock.importing import look_in; look_in([{str(project)!r}]); import sqlalchemy"
    )
    subprocess.run([sys.executable, "-P", "-c", code], check=True)
    assert not was_run(project)
