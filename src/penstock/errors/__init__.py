"""Every exception, one tree; each says what, why and what to do next."""

from penstock.errors import base, configuration, declarations, registry, rows, servers, stores
from penstock.errors.base import *  # noqa: F403  (what __all__ names there)
from penstock.errors.configuration import *  # noqa: F403  (what __all__ names there)
from penstock.errors.declarations import *  # noqa: F403  (what __all__ names there)
from penstock.errors.registry import *  # noqa: F403  (what __all__ names there)
from penstock.errors.rows import *  # noqa: F403  (what __all__ names there)
from penstock.errors.servers import *  # noqa: F403  (what __all__ names there)
from penstock.errors.stores import *  # noqa: F403  (what __all__ names there)

__all__: list[str] = []
__all__ += base.__all__
__all__ += configuration.__all__
__all__ += declarations.__all__
__all__ += registry.__all__
__all__ += rows.__all__
__all__ += servers.__all__
__all__ += stores.__all__

# They are imported from here, so that is the name that tracebacks and pickles have for them.
for _name in __all__:
    globals()[_name].__module__ = __name__
