"""The values of custom settings: of variables, `penstock.toml`, or the app."""

from __future__ import annotations

import json
import os
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from penstock.compat.tethys.app_settings import CustomSetting
from penstock.current import current_stores
from penstock.errors import ConfigError, NotLinked, SecretError
from penstock.registry.bindings import setting_variable
from penstock.registry.file import FileConfig, absolute_ref
from penstock.registry.locate import locate
from penstock.secrets import SecretRef, resolve

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_TRUE, _FALSE = ("true", "t", "yes", "y", "1"), ("false", "f", "no", "n", "0")


@dataclass(frozen=True, slots=True)
class Found:
    """A value as it was given, and who gives it.

    Args:
        value: The value; text where the environment gives it.
        source: Who, for people.
        config: The file, if it is one.
    """

    value: Any
    source: str
    config: FileConfig | None = None


def find_value(package: str, setting: CustomSetting) -> Found | None:
    """Where the value of a setting comes from; None if nobody gives one."""
    variable = setting_variable(package, setting.name)
    if os.environ.get(variable):
        return Found(os.environ[variable], f"environment variable {variable}")
    config = current_stores().config
    given = {} if config is None else config.app_settings.get(package, {})
    if config is not None and setting.name in given:
        line = locate(config.lines, ("apps", package, "settings", setting.name))
        return Found(given[setting.name], f"{config.label}:{line}", config)
    for value in (setting.value, setting.default):
        if value is not None:
            return Found(value, "default of the app")
    return None


def get_value(package: str, setting: CustomSetting) -> Any:
    """The value of a setting, of the type that the setting says.

    Raises:
        NotLinked: It is required, and nobody gives a value.
        ConfigError: What is given is no value of that type.
        SecretError: It is a secret, and can't be found.
    """
    found = find_value(package, setting)
    if found is None:
        if not setting.required:
            return None
        raise NotLinked(
            f"Nobody gives custom setting {setting.name!r} of app {package} a value.",
            hint=f"Write it in penstock.toml, [apps.{package}.settings]; or set "
            f"{setting_variable(package, setting.name)}",
        )
    if setting.type == CustomSetting.TYPE_SECRET and found.config is not None:
        return _secret(package, setting, found, found.config)
    try:
        return _READ.get(setting.type, str)(found.value)
    except (TypeError, ValueError):
        pass  # Raised outside of here, so that no error is chained that repeats the value.
    raise ConfigError(
        f"The value of custom setting {setting.name!r} of app {package} is no {setting.type}.",
        why=f"It is given by {found.source}.",
        hint="Correct it there.",
    )


def _secret(package: str, setting: CustomSetting, found: Found, config: FileConfig) -> str | None:
    try:
        ref = SecretRef.parse(found.value if isinstance(found.value, str) else "")
    except SecretError as error:
        raise SecretError(
            f"Custom setting {setting.name!r} of app {package} is a secret, and {found.source} does not say "
            "where it is.",
            why=error.why,
            hint=error.hint,
        ) from None
    return resolve(absolute_ref(ref, config.path.parent))


# --- types ----------------------------------------------------------------------------------------


def _text(value: Any) -> str:
    if isinstance(value, dict | list):
        raise TypeError
    return str(value)


def _integer(value: Any) -> int:
    if isinstance(value, bool | float):
        raise TypeError
    return int(value)


def _float(value: Any) -> float:
    if isinstance(value, bool):
        raise TypeError
    return float(value)


def _flag(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    word = value.strip().lower() if isinstance(value, str) else ""
    if word not in (*_TRUE, *_FALSE):
        raise ValueError
    return word in _TRUE


def _json(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


_READ: Mapping[str, Callable[[Any], Any]] = {
    CustomSetting.TYPE_STRING: _text,
    CustomSetting.TYPE_SECRET: _text,
    CustomSetting.TYPE_INTEGER: _integer,
    CustomSetting.TYPE_FLOAT: _float,
    CustomSetting.TYPE_BOOLEAN: _flag,
    CustomSetting.TYPE_UUID: lambda value: value if isinstance(value, uuid.UUID) else uuid.UUID(value),
    CustomSetting.TYPE_JSON: _json,
}
