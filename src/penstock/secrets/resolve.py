"""The table of sources, and the one function that asks them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.errors import SecretError, SecretMissing
from penstock.secrets import env, file, vcap
from penstock.secrets.contract import URI, SecretRef

if TYPE_CHECKING:
    from collections.abc import Mapping

    from penstock.secrets.contract import SecretSource

_SOURCES: Mapping[str, SecretSource] = {"env": env.read, "file": file.read, "vcap": vcap.read}


def resolve(ref: SecretRef | None) -> str | None:
    """The password a reference points at, read now; None for no reference.

    Raises:
        SecretMissing: The variable is not set, or the file can't be read.
        SecretError: The password is sealed: it opens only for its service (see `Keyring`).

    >>> from penstock.secrets import SecretRef
    >>> resolve(SecretRef.parse("env:PATH")) is not None
    True
    """
    if ref is None:
        return None
    if ref.scheme == URI:
        return _password_in(SecretRef(*ref.locator.split(":", 1)))
    source = _SOURCES.get(ref.scheme)
    if source is None:
        raise SecretError(
            "A sealed password opens only for the service that it was sealed for.",
            hint="Give env:NAME or file:/path/of/the/file.",
        )
    return source(ref.locator)


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
