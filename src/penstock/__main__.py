"""Lets `python -m penstock` be the command `penstock`."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

if __name__ == "__main__":
    with suppress(OSError):
        # Python looks in the working directory first, where anybody may have put a module of any name.
        if not sys.flags.safe_path and sys.path[0] == os.getcwd():
            del sys.path[0]

    from penstock.cli import main

    main(prog_name="penstock")
