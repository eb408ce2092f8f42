"""Lets a program take this process's place."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


def replace_process(words: tuple[str, ...], environment: Mapping[str, str]) -> None:
    """Let a program take this process's place, with the signals as a shell would give them.

    Args:
        words: The program, and its arguments.
        environment: All its variables.

    Raises:
        OSError: It can't be run.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    # Python ignores it, and what is ignored stays so: a program would go on writing where nobody reads.
    before = signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        os.execvpe(words[0], words, environment)  # noqa: S606  (no shell, on purpose)
    finally:
        signal.signal(signal.SIGPIPE, before)
