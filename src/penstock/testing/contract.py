"""The tests that a backend has to pass, by its capabilities."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime
from unittest import SkipTest

from sqlalchemy import insert, select, text
from sqlalchemy.exc import DBAPIError

from penstock.backends import parse_url
from penstock.engines import own_engine
from penstock.errors import PenstockError, StoreBusy, StoreNotCreated
from penstock.provision.status import Health
from penstock.testing.subject import (
    GAGE,
    METADATA,
    BackendUnderTest,
    able,
    at,
    elsewhere,
    fill,
    hold,
    raised,
    refuses,
    rows,
    stores_on,
)

__all__ = ["BackendContract", "BackendUnderTest"]

_SHORT = 0.2
"""Seconds to wait for a lock that others hold."""


class BackendContract:
    """Every test of the suite; derive a class from it in a test module, and give it its fixture.

    A test about what the backend does not claim is skipped, by `Capabilities`.

    >>> import pytest
    >>> from penstock import Service
    >>> class TestFiles(BackendContract):
    ...     @pytest.fixture
    ...     def subject(self, tmp_path):
    ...         return BackendUnderTest(service=Service(name="files", url=f"sqlite:///{tmp_path}"))
    """

    # --- addresses ---

    def test_an_address_is_normalised_once_for_all(self, subject: BackendUnderTest) -> None:
        url = parse_url(subject.service.url)
        assert subject.backend.normalise(url) == url
        assert url.get_backend_name() == parse_url(str(subject.backend.sync_url(url))).get_backend_name()

    def test_a_stores_address_is_that_of_its_service_and_its_name(self, subject: BackendUnderTest) -> None:
        address = subject.address()
        url = subject.backend.store_url(address)
        service, database = subject.backend.split(url)
        assert database == address.database
        assert subject.backend.store_url(replace(address, server=at(subject, service))) == url
        assert url.password is None

    def test_who_is_sent_a_password_does_not_depend_on_the_database(self, subject: BackendUnderTest) -> None:
        one, other = (subject.backend.store_url(subject.address()) for _ in range(2))
        assert subject.backend.password_audience(one) == subject.backend.password_audience(other)

    def test_names_that_penstock_makes_are_taken(self, subject: BackendUnderTest) -> None:
        for name in ("lab_gages", f"{'a' * 54}_1a2b3c4d"):
            subject.backend.check_name(name)

    def test_a_database_is_shown_by_its_name(self, subject: BackendUnderTest) -> None:
        address = subject.address()
        assert address.database in subject.backend.display_name(address)

    def test_a_server_has_one_key_whoever_asks(self, subject: BackendUnderTest) -> None:
        assert subject.backend.server_key(subject.server) == subject.backend.server_key(subject.server)

    # --- databases ---

    def test_a_database_is_made_found_and_dropped(self, subject: BackendUnderTest) -> None:
        with subject.database() as address:
            backend = subject.backend
            assert (backend.exists(address), backend.drop(address)) == (False, False)
            assert (backend.create(address), backend.create(address)) == (True, False)
            assert backend.exists(address)
            assert backend.databases(address.server, address.database) == [address.database]
            assert (backend.drop(address), backend.exists(address)) == (True, False)
            assert backend.databases(address.server, address.database) == []

    def test_one_of_many_who_make_a_database_has_made_it(self, subject: BackendUnderTest) -> None:
        with subject.database() as address:
            answers: list[bool] = []
            threads = [
                threading.Thread(target=lambda: answers.append(subject.backend.create(address)))
                for _ in range(4)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert sorted(answers) == [False, False, False, True]

    def test_a_database_can_be_prepared_twice(self, subject: BackendUnderTest) -> None:
        with subject.made() as address:
            subject.backend.prepare(address)
            with own_engine(address, subject.backend) as engine, engine.connect() as connection:
                assert subject.backend.is_prepared(connection)

    def test_a_home_can_be_made_twice(self, subject: BackendUnderTest) -> None:
        address = subject.address()
        subject.backend.make_home(address)
        subject.backend.make_home(address)
        assert subject.backend.has_home(address)

    def test_a_copy_has_the_rows(self, subject: BackendUnderTest) -> None:
        with subject.made() as address, subject.database() as copy:
            fill(subject, address)
            if not subject.backend.capabilities.clones:
                refuses(lambda: subject.backend.clone(address, copy))
                raise SkipTest("it makes no copies")
            assert subject.backend.clone(address, copy)
            assert not subject.backend.clone(address, copy)
            assert rows(subject, copy) == rows(subject, address) == [(1, "Logan")]

    # --- quarantine ---

    def test_a_database_is_set_aside_and_brought_back(self, subject: BackendUnderTest) -> None:
        backend = subject.backend
        with subject.made() as address:
            fill(subject, address)
            if not backend.capabilities.quarantine:
                refuses(lambda: backend.quarantine_name(address, datetime.now(UTC)))
                raise SkipTest("it keeps no dropped database")
            aside = replace(address, database=backend.quarantine_name(address, datetime.now(UTC)))
            backend.quarantine(address, aside.database)
            assert (backend.exists(address), backend.exists(aside)) == (False, True)
            backend.restore(aside, address.database)
            assert (backend.exists(address), backend.exists(aside)) == (True, False)
            backend.drop_remains(aside)
            assert rows(subject, address) == [(1, "Logan")]

    def test_what_was_set_aside_can_be_dropped(self, subject: BackendUnderTest) -> None:
        backend = able(subject, "quarantine")
        with subject.made() as address:
            fill(subject, address)
            aside = replace(address, database=backend.quarantine_name(address, datetime.now(UTC)))
            backend.quarantine(address, aside.database)
            backend.allow_connections(aside)
            assert backend.drop(aside)
            backend.drop_remains(aside)
            assert not backend.exists(aside)

    # --- locks ---

    def test_a_stores_lock_is_had_by_one_at_a_time(self, subject: BackendUnderTest) -> None:
        backend = subject.backend
        with subject.made() as address:
            with backend.lock(address, subject.patience):
                assert isinstance(elsewhere(lambda: hold(backend.lock(address, _SHORT))), StoreBusy)
            assert elsewhere(lambda: hold(backend.lock(address, subject.patience))) is None

    def test_a_store_that_is_not_there_has_no_lock(self, subject: BackendUnderTest) -> None:
        with subject.database() as address:
            assert isinstance(elsewhere(lambda: hold(subject.backend.lock(address, _SHORT))), StoreNotCreated)

    def test_a_named_lock_is_had_by_one_at_a_time(self, subject: BackendUnderTest) -> None:
        backend, server, name = subject.backend, subject.server, subject.address().database
        with backend.named_lock(server, name, timeout=subject.patience):
            refused = elsewhere(lambda: hold(backend.named_lock(server, name, timeout=_SHORT)))
            assert isinstance(refused, StoreBusy)
        hold(backend.named_lock(server, name, timeout=subject.patience))
        backend.forget_lock(server, name)

    def test_a_shared_lock_keeps_out_who_wants_it_alone(self, subject: BackendUnderTest) -> None:
        backend, server, name = subject.backend, subject.server, subject.address().database
        with backend.named_lock(server, name, shared=True, timeout=subject.patience):
            beside = elsewhere(lambda: hold(backend.named_lock(server, name, shared=True, timeout=_SHORT)))
            assert beside is None
            refused = elsewhere(lambda: hold(backend.named_lock(server, name, timeout=_SHORT)))
            assert isinstance(refused, StoreBusy)
        backend.forget_lock(server, name)

    def test_a_transaction_has_a_lock_until_it_ends(self, subject: BackendUnderTest) -> None:
        with subject.made() as address, own_engine(address, subject.backend) as engine:
            if subject.backend.capabilities.transaction_locks:
                for _ in range(2):
                    with engine.begin() as connection:
                        subject.backend.lock_transaction(connection)
                return
            with engine.connect() as connection:
                refuses(lambda: subject.backend.lock_transaction(connection))
        raise SkipTest("it has no such lock")

    # --- what is there ---

    def test_a_table_is_seen_and_a_view_is_none(self, subject: BackendUnderTest) -> None:
        backend = subject.backend
        with subject.made() as address, own_engine(address, backend) as engine:
            with engine.connect() as connection:
                assert not backend.has_table(connection, "gage")
                assert not backend.has_relations(connection, "gage")
            fill(subject, address)
            with engine.connect() as connection:
                assert backend.has_table(connection, "gage")
                assert not backend.has_relations(connection, "gage")
                assert backend.has_relations(connection, "other")
            with subject.engine(address) as app, app.begin() as connection:
                connection.execute(text("CREATE VIEW seen AS SELECT * FROM gage"))
            with engine.connect() as connection:
                assert not backend.has_table(connection, "seen")
                assert backend.has_relations(connection, "gage")

    def test_a_server_says_what_it_is(self, subject: BackendUnderTest) -> None:
        room = subject.backend.connection_limit(subject.server)
        assert subject.backend.version(subject.server)
        assert room is None or room > 0
        with subject.made() as address, own_engine(address, subject.backend) as engine:
            fill(subject, address)
            with engine.connect() as connection:
                assert subject.backend.size(connection) > 0

    # --- connections ---

    def test_connecting_makes_no_database(self, subject: BackendUnderTest) -> None:
        with subject.database() as address, subject.engine(address) as engine:
            assert isinstance(raised(lambda: engine.connect().close()), StoreNotCreated)
            assert not subject.backend.exists(address)

    def test_what_is_committed_stays_and_the_rest_is_undone(self, subject: BackendUnderTest) -> None:
        with subject.made() as address:
            fill(subject, address)
            with subject.engine(address) as engine, engine.connect() as connection:
                connection.execute(insert(GAGE), [{"id": 2, "name": "Provo"}])
                connection.rollback()
            assert rows(subject, address) == [(1, "Logan")]

    def test_a_table_is_undone_where_it_says_so(self, subject: BackendUnderTest) -> None:
        backend = able(subject, "transactional_ddl")
        with subject.made() as address:
            with subject.engine(address) as engine, engine.connect() as connection:
                METADATA.create_all(connection)
                connection.rollback()
            with own_engine(address, backend) as engine, engine.connect() as connection:
                assert not backend.has_table(connection, "gage")

    def test_a_part_of_a_transaction_is_undone_where_it_says_so(self, subject: BackendUnderTest) -> None:
        able(subject, "savepoints")
        with subject.made() as address:
            fill(subject, address)
            with subject.engine(address) as engine, engine.begin() as connection:
                with connection.begin_nested() as part:
                    connection.execute(insert(GAGE), [{"id": 2, "name": "Provo"}])
                    part.rollback()
                connection.execute(insert(GAGE), [{"id": 3, "name": "Bear"}])
            assert rows(subject, address) == [(1, "Logan"), (3, "Bear")]

    def test_no_row_goes_to_a_database_that_was_dropped(self, subject: BackendUnderTest) -> None:
        backend = subject.backend
        with subject.made() as address, subject.engine(address) as engine:
            fill(subject, address)
            with engine.connect() as connection:
                assert connection.execute(select(GAGE.c.id)).scalars().all() == [1]
            engine.dispose()
            backend.drop(address)
            assert isinstance(raised(lambda: engine.connect().close()), StoreNotCreated)
            backend.create(address)
            backend.prepare(address)
            with engine.begin() as connection:
                METADATA.create_all(connection)
                connection.execute(insert(GAGE), [{"id": 2, "name": "Provo"}])
            assert rows(subject, address) == [(2, "Provo")]

    def test_there_is_a_driver_for_event_loops_where_it_says_so(self, subject: BackendUnderTest) -> None:
        address = subject.address()
        if not subject.backend.capabilities.asyncio:
            refuses(lambda: subject.backend.async_driver(address))
            raise SkipTest("it has none")
        assert subject.backend.async_driver(address).name

    def test_a_plain_connection_leads_somewhere_where_it_says_so(self, subject: BackendUnderTest) -> None:
        if not subject.backend.capabilities.plain_connections:
            refuses(lambda: subject.backend.connection_address(subject.server, "lab:server"))
            raise SkipTest("it has none")
        address = subject.backend.connection_address(subject.server, "lab:server")
        with subject.engine(address) as engine, engine.connect() as connection:
            assert connection.execute(select(1)).scalar_one() == 1

    # --- errors ---

    def test_a_servers_error_becomes_one_of_penstocks(self, subject: BackendUnderTest) -> None:
        with subject.made() as address, subject.engine(address) as engine, engine.connect() as connection:
            error = raised(lambda: connection.execute(text("SELECT nothing FROM nowhere")))
            assert isinstance(error, DBAPIError)
            told = subject.backend.translate(error, "It can't be read.")
            assert (type(told) is not PenstockError, told.what) == (True, "It can't be read.")
            assert not subject.backend.is_disconnect(error)

    def test_what_is_penstocks_already_stays(self, subject: BackendUnderTest) -> None:
        error = subject.address().not_created("It is gone.")
        assert subject.backend.translate(error, "It can't be read.") is error
        assert subject.backend.is_disconnect(error)

    # --- all of it together ---

    def test_an_apps_store_is_made_used_and_dropped(self, subject: BackendUnderTest) -> None:
        with stores_on(subject) as (stores, app):
            assert [result.error for result in stores.sync(app)] == [None]
            with stores.begin(app, "gages") as session:
                session.execute(insert(GAGE), [{"id": 2, "name": "Provo"}])
            assert [result.error for result in stores.sync(app)] == [None]
            assert [status.health for status in stores.status(app)] == [Health.READY]
            with stores.session(app, "gages") as session:
                assert session.scalars(select(GAGE.c.name).order_by(GAGE.c.id)).all() == ["Logan", "Provo"]
            assert stores.drop(app, "gages", now=True).existed
            assert not stores.exists(app, "gages")
