"""A rotation of keys loses nothing, killed half-way or raced by edits."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from threading import Thread
from typing import TYPE_CHECKING

import pytest

from penstock.connect import ServiceAccount, keys_in_use, read_password, reseal, seal_password
from penstock.errors import RegistryConflict, SealBroken
from penstock.registry import DatabaseRegistry, Registry, Service
from penstock.secrets import Keyring, SecretRef

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from fix_servers import TestServer

ADDRESS = "postgresql://me@127.0.0.1:1"
SERVICES = 4

ROTATE = """
import os, signal, sys
from pathlib import Path
from penstock.connect import reseal
from penstock.registry import DatabaseRegistry
from penstock.secrets import Keyring, SecretRef

key, url, password, after = sys.argv[1:]
keyring = Keyring(Path(key))
registry = DatabaseRegistry(url, password=SecretRef.parse(password) if password else None)
with keyring.held():
    keyring.add_key()
    done = reseal(registry, keyring)
    for _ in range(int(after)):
        assert next(done).error is None
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def where(ground: TestServer, tmp_path: Path) -> tuple[str, str]:
    """The address of a registry that is not there yet, and where its password is."""
    if ground.server is None:
        return f"sqlite:///{tmp_path}/registry.sqlite3", ""
    return f"{ground.url}/penstock_registry", str(ground.service.password)


def registry_at(where: tuple[str, str]) -> DatabaseRegistry:
    url, password = where
    return DatabaseRegistry(url, password=SecretRef.parse(password) if password else None)


def fill(registry: Registry, keyring: Keyring) -> None:
    for number in range(SERVICES):
        service = Service(name=f"s{number}", url=ADDRESS, admin_url=ADDRESS)
        for role in ServiceAccount:
            service = seal_password(service, role, f"{role.value} {number}", keyring)
        registry.put_service(service)


def opened(registry: Registry, keyring: Keyring) -> list[str | None]:
    return [read_password(each, role, keyring) for each in registry.services() for role in ServiceAccount]


EXPECTED = [f"{role.value} {number}" for number in range(SERVICES) for role in ServiceAccount]


def test_a_rotation_killed_between_any_two_services_is_finished_by_the_next(
    where: tuple[str, str], keyring: Keyring
) -> None:
    registry = registry_at(where)
    fill(registry, keyring)
    for after in range(SERVICES + 1):
        [old] = keyring.keys()
        words = [sys.executable, "-c", ROTATE, str(keyring.file), *where, str(after)]
        assert subprocess.run(words, check=False, timeout=60).returncode == -signal.SIGKILL
        new = keyring.keys()[0]
        assert keyring.keys() == [new, old]
        assert keys_in_use(registry) == {key.id for key, count in ((new, after), (old, 4 - after)) if count}
        assert opened(registry, keyring) == EXPECTED
        assert [each.error for each in reseal(registry, keyring)] == [None] * (SERVICES - after)
        with keyring.held():
            keyring.drop_keys({old.id})
        assert (keys_in_use(registry), opened(registry, keyring)) == ({new.id}, EXPECTED)
    registry.close()


def test_what_is_written_while_keys_rotate_is_kept(where: tuple[str, str], keyring: Keyring) -> None:
    registry = registry_at(where)
    fill(registry, keyring)
    with keyring.held():
        keyring.add_key()
    problems: list[object] = []

    def rotate() -> None:
        with closing(registry_at(where)) as writing:
            problems.extend(each.error for each in reseal(writing, keyring) if each.error)

    def edit() -> None:
        with closing(registry_at(where)) as writing:
            for number in range(SERVICES):
                persist(writing, f"s{number}", lambda service: replace(service, max_connections=7))

    threads = [Thread(target=work) for work in (rotate, edit, rotate)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert opened(registry, keyring) == EXPECTED
    assert [each.max_connections for each in registry.services()] == [7] * SERVICES
    assert keys_in_use(registry) == {keyring.keys()[0].id}
    registry.close()


def persist(registry: Registry, name: str, change: Callable[[Service], Service]) -> None:
    """Repeat a change until nobody came in between."""
    while True:
        service = next(each for each in registry.services() if each.name == name)
        try:
            registry.put_service(change(service), replace=True)
            return
        except RegistryConflict:
            continue


def test_z4_in_a_registry_of_every_kind_what_was_moved_by_hand_does_not_open(
    where: tuple[str, str], keyring: Keyring
) -> None:
    registry = registry_at(where)
    fill(registry, keyring)
    one, other = registry.services()[:2]
    registry.put_service(replace(other, password=one.password), replace=True)
    registry.put_service(replace(one, url="postgresql://me@evil:1"), replace=True)
    for service in registry.services()[:2]:
        with pytest.raises(SealBroken):
            read_password(service, ServiceAccount.SERVICE, keyring)
        assert (read_password(service, ServiceAccount.ADMINISTRATOR, keyring) or "").startswith(
            "administrator"
        )
    assert [each.error is None for each in reseal(registry, keyring)] == []
    registry.close()


def test_two_processes_that_make_the_key_file_make_one(tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from penstock.secrets import Keyring\n"
    code += "print(Keyring(Path(sys.argv[1])).make_file())"
    words = [sys.executable, "-c", code, str(tmp_path / "key")]
    started = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    assert sorted(each.communicate(timeout=60)[0].strip() for each in started) == ["False"] * 3 + ["True"]
    assert len(Keyring(tmp_path / "key").keys()) == 1
