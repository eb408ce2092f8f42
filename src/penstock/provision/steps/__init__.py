"""The steps of syncs and drops: when each is needed, and how it is done."""

from __future__ import annotations

import pkgutil
from importlib import import_module

from penstock.provision.steps.contract import (
    Action,
    Phase,
    Step,
    StepDone,
    StepEvent,
    StepStarted,
    needed_steps,
    register,
    registered,
    unregister,
)

__all__ = [
    "Action",
    "Phase",
    "Step",
    "StepDone",
    "StepEvent",
    "StepStarted",
    "needed_steps",
    "register",
    "registered",
    "unregister",
]

for _module in pkgutil.iter_modules(__path__, f"{__name__}."):  # So a new step is a new file, and no more.
    import_module(_module.name)
