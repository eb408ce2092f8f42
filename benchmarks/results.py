"""Runs the benchmarks, and writes what they print to RESULTS.md.

python benchmarks/results.py            all of them
python benchmarks/results.py p04 p13    some of them; what is written of the others stays
"""

from __future__ import annotations

import os
import platform
import re
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from shutil import which

from measure import progress

from penstock.embedded.binaries import find_binaries

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "RESULTS.md"
PACKAGES = [
    ("SQLAlchemy", "sqlalchemy"),
    ("psycopg", "psycopg"),
    ("psycopg2", "psycopg2-binary"),
    ("asyncpg", "asyncpg"),
    ("PyMySQL", "pymysql"),
    ("mysqlclient", "mysqlclient"),
    ("ADBC", "adbc-driver-postgresql"),
    ("PyArrow", "pyarrow"),
    ("pandas", "pandas"),
    ("polars", "polars"),
    ("Django", "django"),
    ("Advanced Alchemy", "advanced-alchemy"),
]


def main() -> None:
    """Run them in turn; ends with 1 if one of them broke off."""
    chosen = sys.argv[1:]
    scripts = [*sorted(HERE.glob("p[0-9]*.py")), HERE / "bulk_generator.py"]
    found = written()
    broken = []
    for script in scripts:
        if not chosen or script.stem.startswith(tuple(chosen)):
            progress(f"== {script.name}")
            section = run(script)
            if section is None:
                broken.append(script.name)
                continue
            print(section)
            found[script.name] = section
            order = [found[each.name] for each in scripts if each.name in found]
            RESULTS.write_text("\n".join([head(), *order]), "utf-8")
    if broken:
        sys.exit(f"broke off: {', '.join(broken)}")


def written() -> dict[str, str]:
    """What RESULTS.md says of each script."""
    text = RESULTS.read_text("utf-8") if RESULTS.exists() else ""
    sections = re.split(r"^(?=## `)", text, flags=re.MULTILINE)[1:]
    return {section.split("`")[1]: section.rstrip() + "\n" for section in sections}


def run(script: Path) -> str | None:
    """What is to be said of a script, with the day and how busy the machine was; None if it broke off."""
    busy = os.getloadavg()[0]
    done = subprocess.run([sys.executable, str(script)], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        return None
    caption = (script.read_text("utf-8").split("\n", 1)[0]).strip('"')
    when = f"{datetime.now(UTC):%Y-%m-%d}, load {busy:.1f} at the beginning"
    return f"## `{script.name}`\n\n{caption} {when}.\n\n{done.stdout.rstrip()}\n"


def head() -> str:
    """On what it was measured."""
    return f"""# Results

Written by `make bench`; `README.md` says how to read it. Ratios of a busy machine are rough: see the load.

- {processor()}, {os.cpu_count()} cores, {memory():.0f} GB; {system()}
- {", ".join(versions())}
"""


def processor() -> str:
    """The model of the processor."""
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text("utf-8"), re.MULTILINE)
    return found[1] if found else platform.machine()


def memory() -> float:
    """Gigabytes."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9


def system() -> str:
    """The operating system, without the name of the machine."""
    return platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())


def versions() -> list[str]:
    """What was used."""
    found = [f"Python {platform.python_version()}"]
    for name, package in PACKAGES:
        try:
            found.append(f"{name} {version(package)}")
        except PackageNotFoundError:
            continue
    return [*found, *servers(), f"SQLite {sqlite3.sqlite_version}"]


def servers() -> list[str]:
    """The servers that benchmarks start."""
    found = [f"PostgreSQL {find_binaries().version}"]
    if mariadb := which("mariadbd", path=f"{os.environ.get('PATH', '')}:/usr/sbin"):
        said = subprocess.run([mariadb, "--version"], capture_output=True, text=True, check=True).stdout
        found += [f"MariaDB {number[1]}" for number in [re.search(r"Ver ([\d.]+)", said)] if number]
    return found


if __name__ == "__main__":
    main()
