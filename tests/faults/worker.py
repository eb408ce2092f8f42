"""Forks a process for every job it is given, so that jobs can be killed.

It has loaded everything a job needs, so a process takes milliseconds to begin. Orders and answers
are lines of JSON: `{"start": {"job": NAME, ...}}` answers the pid, `{"wait": PID, "timeout": S}`
answers how that process ended and what it said.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any, NoReturn

from faults import jobs

_LATE = 0.002


def main(folder: Path) -> None:
    """Serve orders from standard input until it ends; what jobs say is written below `folder`."""
    for line in sys.stdin:
        order = json.loads(line)
        answer = _start(folder, order["start"]) if "start" in order else _wait(folder, **order)
        print(json.dumps(answer), flush=True)  # noqa: T201  (the way back to the test)


def _start(folder: Path, job: dict[str, Any]) -> dict[str, Any]:
    pid = os.fork()
    if pid == 0:
        _run(folder, job)
    return {"pid": pid}


def _run(folder: Path, job: dict[str, Any]) -> NoReturn:
    """In the child: do the job, write its result, and end without any clean-up of the parent's."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    here = folder / str(os.getpid())
    for number, suffix in ((1, "out"), (2, "err")):
        os.dup2(os.open(f"{here}.{suffix}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666), number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    result = os.open(f"{here}.result", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    status = 1
    try:
        said = getattr(jobs, job.pop("job"))(**job)
        os.write(result, json.dumps(said).encode())
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _wait(folder: Path, wait: int, timeout: float) -> dict[str, Any]:
    end = time.monotonic() + timeout
    while not (ended := os.waitpid(wait, os.WNOHANG))[0]:
        if time.monotonic() > end:
            os.kill(wait, signal.SIGKILL)
        time.sleep(_LATE)
    texts = {suffix: folder / f"{wait}.{suffix}" for suffix in ("out", "err", "result")}
    read = {suffix: path.read_text() if path.exists() else "" for suffix, path in texts.items()}
    said = json.loads(read["result"]) if read["result"] else None
    return {
        "status": os.waitstatus_to_exitcode(ended[1]),
        "said": said,
        "out": read["out"],
        "err": read["err"],
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]))
