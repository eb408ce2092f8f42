"""Errors of configuration and secrets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from penstock.errors.base import PenstockError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "ConfigError",
    "ConfigNotFound",
    "ConfigProblems",
    "ConfigUnsafe",
    "KeyInvalid",
    "KeyMissing",
    "KeyUnsafe",
    "MissingExtra",
    "PluginError",
    "Problem",
    "SealBroken",
    "SecretError",
    "SecretMissing",
]


class ConfigError(PenstockError):
    """`penstock.toml`, or an environment variable read in its place, holds something wrong."""

    code = "config-invalid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing wrong in a configuration file.

    Args:
        file: The file, as people see it from the working directory.
        line: The line, counted from 1.
        key: The key as written in TOML; empty where a whole line or file is meant.
        message: What is wrong; never a value that could be a secret.
        hint: What to do about it.

    >>> print(Problem(file="penstock.toml", line=6, key="links", message="is text.", hint="Write [links]."))
    penstock.toml:6: links: is text -> Write [links].
    """

    file: str
    line: int
    key: str
    message: str
    hint: str

    def __str__(self) -> str:
        subject = f"{self.key}: " if self.key else ""
        return f"{self.file}:{self.line}: {subject}{self.message.rstrip('.')} -> {self.hint}"


class ConfigProblems(ConfigError):
    """`penstock.toml` holds one or several errors; all of them are listed, with file, line and key.

    Args:
        problems: At least one; the attribute of this name has them in the order of their lines.
    """

    code = "config-problems"

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda problem: (problem.line, problem.key)))
        super().__init__("\n".join(str(problem) for problem in self.problems))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.problems,)


class ConfigUnsafe(ConfigError):
    """The configuration file can be changed by somebody else, so it is not trusted."""

    code = "config-unsafe"


class ConfigNotFound(ConfigError):
    """No `penstock.toml` was found where one is needed."""

    code = "config-not-found"


class PluginError(PenstockError):
    """A package that adds a backend or a secret source can't be loaded, or two packages add the same one."""

    code = "plugin-unusable"


class SecretError(PenstockError):
    """A secret reference is malformed, or uses a source that does not exist."""

    code = "secret-invalid"


class SecretMissing(SecretError):
    """A secret reference points at nothing: an unset variable, an absent or unreadable file."""

    code = "secret-missing"


class KeyMissing(SecretError):
    """There is no key to seal with, or not the one that a sealed password was sealed with."""

    code = "key-missing"


class KeyInvalid(SecretError):
    """The value of `PENSTOCK_KEY`, or of the key file, is not a key."""

    code = "key-invalid"


class KeyUnsafe(SecretError):
    """Somebody else can read or change the key file, so it is not used."""

    code = "key-unsafe"


class SealBroken(SecretError):
    """A sealed password was changed, or does not belong to this service at this address."""

    code = "seal-broken"


class MissingExtra(PenstockError):
    """A feature needs a package that is not installed."""

    code = "extra-missing"
