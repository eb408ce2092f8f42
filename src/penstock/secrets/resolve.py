"""The table of secret sources, and the function that reads a secret."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.errors import PenstockError, SecretError, SecretMissing
from penstock.secrets import env, file, vcap
from penstock.secrets.contract import PLUGINS, SEALED, URI, Credentials, SecretRef

if TYPE_CHECKING:
    from collections.abc import Mapping

    from penstock.secrets.contract import SecretSource

_SOURCES: Mapping[str, SecretSource] = {"env": env.read, "file": file.read, "vcap": vcap.read}


def resolve(ref: SecretRef | None) -> str | None:
    """The password a reference points at, read now; None for no reference.

    Raises:
        SecretMissing: The variable is not set, or the file can't be read.
        SecretError: The password is sealed: it opens only for its service (see `Keyring`).
        PluginError: The package that has the source is of no use.

    >>> from penstock.secrets import SecretRef
    >>> resolve(SecretRef.parse("env:PATH")) is not None
    True
    """
    found = look_up(ref)
    return found.password if isinstance(found, Credentials) else found


def look_up(ref: SecretRef | None) -> str | Credentials | None:
    """The same, with the user if the source names one; raises as `resolve`."""
    if ref is None:
        return None
    if ref.scheme == URI:
        return _password_in(SecretRef(*ref.locator.split(":", 1)))
    if ref.scheme == SEALED:
        raise SecretError(
            "A sealed password opens only for the service that it was sealed for.",
            hint="Give env:NAME or file:/path/of/the/file.",
        )
    source = _SOURCES.get(ref.scheme)
    return _from_elsewhere(ref) if source is None else source(ref.locator)


def _from_elsewhere(ref: SecretRef) -> str | Credentials:
    """What the source of another package answers; what it raises may hold a secret, so that is not told."""
    source = PLUGINS.load(ref.scheme)
    if source is None:
        raise SecretError(
            f"No installed package has a source of secrets for {ref.scheme}:",
            hint="Install the one that has, or give env:NAME or file:/path/of/the/file.",
        )
    raised, found = "", None
    try:
        found = source(ref.locator)
    except PenstockError:
        raise
    except Exception as error:
        raised = type(error).__name__
    if raised:
        raise SecretMissing(f"The secret source {ref.scheme!r} did not answer.", why=f"It raised {raised}.")
    if not isinstance(found, str | Credentials):
        raise PLUGINS.broken(ref.scheme, f"It answers a {type(found).__name__}, no text and no Credentials.")
    return found


def _password_in(address: SecretRef) -> str:
    """The password inside the address that a reference points at."""
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url((resolve(address) or "").strip())
    except (ArgumentError, ValueError):
        url = None  # Raised outside of here, so that no error is chained that may repeat the address.
    if url is None or url.password is None:
        raise SecretMissing(f"There is no address with a password in {address}.")
    return url.password
