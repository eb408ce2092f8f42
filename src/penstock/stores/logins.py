"""Gives stores new logins while their apps run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.connect.acting import acting_for
from penstock.provision.rotation import GRACE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from penstock.connect import AppLike, Sessions
    from penstock.provision.provisioner import Provisioner
    from penstock.provision.results import OnEvent, RotateResult
    from penstock.provision.rotation import Rotator


class StoreLogins:
    """The logins of stores that have their own: `stores.logins`.

    Args:
        stores: The stores.
        provisioner: Knows which there are.
        rotator: Does the work.
    """

    def __init__(self, stores: Sessions, provisioner: Provisioner, rotator: Rotator) -> None:
        self._stores = stores
        self._provisioner = provisioner
        self._rotator = rotator

    def rotate(
        self,
        app: AppLike,
        names: Sequence[str] = (),
        *,
        grace: float = GRACE,
        on_event: OnEvent | None = None,
    ) -> list[RotateResult]:
        """Give stores new logins, with new passwords, while their apps run, and drop the old ones later.

        A running process notices new logins when it looks up addresses again, after
        `refresh_interval`, or when an old one is refused.

        Args:
            app: The app.
            names: Stores or kinds; all of the app's by default.
            grace: Seconds for which the old logins stay good; default 60.
            on_event: Told of each step; see `Stores.sync`.

        Returns:
            How each ended, in order.
        """
        declaration = self._stores.declaration(app)
        chosen = self._provisioner.selected(declaration, names)
        with acting_for(self._stores):
            return self._rotator.rotate(declaration, chosen, grace, on_event)

    def renew(self, app: AppLike, name: str, *, on_event: OnEvent | None = None) -> RotateResult:
        """The first half of `rotate` for one store: new logins; the old ones stay good.

        Raises:
            NotSupported: The store has no logins of its own.
        """
        with acting_for(self._stores):
            return self._rotator.renew(self._stores.declaration(app), name, on_event).or_raise()

    def retire(
        self, app: AppLike, name: str, *, grace: float = GRACE, on_event: OnEvent | None = None
    ) -> RotateResult:
        """The second half: drop the old logins of a store, but for those that are still needed.

        Args:
            app: The app.
            name: The store.
            grace: Seconds that have to be over since others took their place.
            on_event: Told of each step; see `Stores.sync`.
        """
        declaration = self._stores.declaration(app)
        with acting_for(self._stores):
            return self._rotator.retire(declaration, name, grace, on_event=on_event).or_raise()
