"""What an app says it needs: settings, and the names they become."""

from penstock.declare.app import AppDeclaration
from penstock.declare.naming import Copies, StoreName, physical_name, run_of_copy
from penstock.declare.others import OtherDeclaration
from penstock.declare.sessions import SessionOptions
from penstock.declare.settings import (
    ConnectionSetting,
    DatabaseSetting,
    Initializer,
    Setting,
    TableMaker,
    Tables,
)

__all__ = [
    "AppDeclaration",
    "ConnectionSetting",
    "Copies",
    "DatabaseSetting",
    "Initializer",
    "OtherDeclaration",
    "SessionOptions",
    "Setting",
    "StoreName",
    "TableMaker",
    "Tables",
    "physical_name",
    "run_of_copy",
]
