"""What `AsyncStores` holds, awaited: services, links, logins, kept, unused stores."""

from __future__ import annotations

from penstock.aio.awaited import Awaited, awaited
from penstock.stores.kept import KeptStores
from penstock.stores.links import Links
from penstock.stores.logins import StoreLogins
from penstock.stores.services import Services
from penstock.stores.unused import UnusedStores


class AsyncServices(Awaited[Services]):
    """The servers that stores can be on, awaited: see `Services`."""

    get = awaited(Services.get)
    add = awaited(Services.add)
    edit = awaited(Services.edit)
    remove = awaited(Services.remove)
    users = awaited(Services.users)
    version = awaited(Services.version)
    check = awaited(Services.check)
    budgets = awaited(Services.budgets)
    rotate = awaited(Services.rotate)


class AsyncLinks(Awaited[Links]):
    """The links from settings to services, awaited: see `Links`."""

    add = awaited(Links.add)
    remove = awaited(Links.remove)


class AsyncLogins(Awaited[StoreLogins]):
    """The logins of stores, awaited: see `StoreLogins`."""

    rotate = awaited(StoreLogins.rotate)
    renew = awaited(StoreLogins.renew)
    retire = awaited(StoreLogins.retire)


class AsyncKeptStores(Awaited[KeptStores]):
    """The dropped stores that are kept, awaited: see `KeptStores`."""

    entries = awaited(KeptStores.entries)
    undrop = awaited(KeptStores.undrop)
    purge = awaited(KeptStores.purge)


class AsyncUnusedStores(Awaited[UnusedStores]):
    """The remembered stores that no app here uses, awaited: see `UnusedStores`."""

    orphans = awaited(UnusedStores.orphans)
    broken = awaited(UnusedStores.broken)
    statuses = awaited(UnusedStores.statuses)
    drop = awaited(UnusedStores.drop)
