"""Installs an app: its requirements, itself, its links."""

from penstock.install.commands import Command, carry_out, need_pip
from penstock.install.conda import Remark
from penstock.install.distribution import Provider, find_here, find_provider
from penstock.install.imports import fresh_imports, look_in, need_same, own_versions
from penstock.install.links import Linked, RequestedLink, link_all
from penstock.install.plan import InstallArguments, InstallPlan, plan_install

__all__ = [
    "Command",
    "InstallArguments",
    "InstallPlan",
    "Linked",
    "Provider",
    "Remark",
    "RequestedLink",
    "carry_out",
    "find_here",
    "find_provider",
    "fresh_imports",
    "link_all",
    "look_in",
    "need_pip",
    "need_same",
    "own_versions",
    "plan_install",
]
