"""The examples in docstrings do what they say."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
from typing import TYPE_CHECKING

import pytest

import penstock

if TYPE_CHECKING:
    from pathlib import Path

MODULES = ["penstock", *(info.name for info in pkgutil.walk_packages(penstock.__path__, "penstock."))]
FLAGS = doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL


@pytest.mark.parametrize("name", [name for name in MODULES if not name.endswith(".__main__")])
def test_the_examples_of_a_module_work(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An example is a script that sees the names of its module, and all that `penstock` offers."""
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)
    public = {each: getattr(penstock, each) for each in penstock.__all__}
    names = {**public, **vars(module), "__name__": "__main__"}
    runner = doctest.DocTestRunner(optionflags=FLAGS)
    for test in doctest.DocTestFinder().find(module, globs=names):
        runner.run(test)
    assert runner.failures == 0, capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []
