"""`penstock.toml` is read as written; each error names file, line, key and remedy."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.backends import parse_url
from penstock.engines import EngineOptions
from penstock.errors import ConfigError
from penstock.registry.file import (
    ConfigProblems,
    FileConfig,
    check_links,
    check_secrets,
    read_config,
)
from penstock.registry.service import Link, Service
from penstock.secrets import SecretRef

SECRET = "hunter2"
WHOLE = """\
registry = "sqlite:///.penstock/registry.sqlite3"
registry_password = "file:secrets/registry"
[services.main]
url = "postgresql://provisioner@db.example.org:5432"
password = "env:MAIN_PW"
admin_url = "postgresql://admin@db.example.org:5432"
admin_password = "file:secrets/admin"

[services]
local = { url = "sqlite:///stores", pooled = true, max_connections = 50 }

[links]
"my_first_app:example_db" = "main"
[links.stream_gages]
gages = "elsewhere"

[apps]
my_first_app = "my_first_app.app:App"

[engine]
max_connections = 2
pool_timeout = 3
echo = true
"""


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A working directory of the test's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PENSTOCK_CONFIG", raising=False)
    return tmp_path


@pytest.fixture
def read(home):
    """Read a text as the working directory's configuration."""

    def read(text: str | bytes) -> FileConfig:
        path = home / "penstock.toml"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return read_config(path)

    return read


@pytest.fixture
def problems(read):
    """The problems of a text, as (line, key, message, hint)."""

    def problems(text):
        with pytest.raises(ConfigProblems) as caught:
            read(text)
        assert {problem.file for problem in caught.value.problems} == {"penstock.toml"}
        return [(each.line, each.key, each.message, each.hint) for each in caught.value.problems]

    return problems


# --- what is read --------------------------------------------------------------------------------


def test_a_whole_file_is_read(read, home):
    config = read(WHOLE)
    main = Service(
        name="main",
        url="postgresql://provisioner@db.example.org:5432",
        password=SecretRef("env", "MAIN_PW"),
        admin_url="postgresql://admin@db.example.org:5432",
        admin_password=SecretRef("file", f"{home}/secrets/admin"),
    )
    local = Service(name="local", url=f"sqlite:///{home}/stores", pooled=True, max_connections=50)
    assert sorted(config.services, key=lambda service: service.name) == [local, main]
    assert config.links == (
        Link(app="my_first_app", setting="example_db", service="main"),
        Link(app="stream_gages", setting="gages", service="elsewhere"),
    )
    assert config.apps == {"my_first_app": "my_first_app.app:App"}
    assert config.engine == EngineOptions(max_connections=2, pool_timeout=3.0, echo=True)
    assert config.registry_url == f"sqlite:///{home}/.penstock/registry.sqlite3"
    assert config.registry_password == SecretRef("file", f"{home}/secrets/registry")
    assert config.path == home / "penstock.toml"


def test_everything_knows_its_line(read):
    config = read(WHOLE)
    assert {each.name: str(each.source) for each in config.services} == {
        "main": "penstock.toml:3",
        "local": "penstock.toml:10",
    }
    assert [str(each.source) for each in config.links] == ["penstock.toml:13", "penstock.toml:15"]
    assert not any(each.source.writable for each in (*config.services, *config.links))


@pytest.mark.parametrize("text", ["", "\n# nothing\n", b"\xef\xbb\xbf", "[services]\n[links]\n[links.lab]"])
def test_a_file_that_says_nothing_is_read(read, text):
    config = read(text)
    assert (config.services, config.links, config.apps, config.registry_url) == ((), (), {}, None)
    assert config.engine == EngineOptions()


def test_a_byte_order_mark_does_not_move_the_lines(read):
    assert read(b'\xef\xbb\xbf[links]\r\n"a:b" = "c"').links[0].source.where == "penstock.toml:2"


def test_a_file_is_called_what_it_is_from_the_working_directory(home, monkeypatch):
    below, beside = home / "below", home / "beside"
    below.mkdir()
    beside.mkdir()
    path = below / "other.toml"
    path.write_text('[links]\n"a:b" = "c"')
    assert read_config(path).links[0].source.where == "below/other.toml:2"
    monkeypatch.chdir(beside)
    assert read_config(path).links[0].source.where == f"{path}:2"
    given = read_config(Path("../below/other.toml"))
    assert given.links[0].source.where == "../below/other.toml:2"
    assert given.path.is_absolute()


@pytest.mark.parametrize(
    "name", ["a b", "50%", "50%25", "été", "a+b", "a@b:c", "a;b&c=d", "#", "'", '"', "a\\b", "*"]
)
def test_a_relative_path_is_relative_to_the_file_whatever_its_directory_is_called(home, name):
    folder = home / name
    folder.mkdir()
    path = folder / "penstock.toml"
    path.write_text('[services.x]\nurl = "sqlite:///data/stores"\npassword = "file:pw"')
    (service,) = read_config(path).services
    assert parse_url(service.url).database == str(folder / "data/stores")
    assert service.password == SecretRef("file", str(folder / "pw"))


@pytest.mark.parametrize("name", [b"\xff", b"a?b"], ids=["not UTF-8", "question mark"])
def test_a_path_that_an_address_can_not_hold_is_refused_and_never_changed(home, name):
    folder = home / os.fsdecode(name)
    folder.mkdir()
    path = folder / "penstock.toml"
    path.write_text('registry = "sqlite:////srv/registry"')
    assert read_config(path).registry_url == "sqlite:////srv/registry"
    path.write_text('registry = "sqlite:///registry"')
    try:  # which names an address can hold differs between versions of SQLAlchemy
        url = read_config(path).registry_url
    except ConfigError as error:
        hint = error.hint
    else:
        assert parse_url(url).database == str(folder / "registry")
        return
    assert "absolute paths" in hint


def test_an_absolute_path_stays_as_it_is(read):
    (service,) = read('[services.x]\nurl = "sqlite:////srv/stores"\npassword = "file:/run/pw"').services
    assert (service.url, service.password) == ("sqlite:////srv/stores", SecretRef("file", "/run/pw"))


def test_an_address_of_a_server_is_no_path(read):
    (service,) = read('[services.x]\nurl = "postgresql:///lab?user=me&host=/run"').services
    assert service.url == "postgresql:///lab?host=%2Frun&user=me"


# --- what is refused -----------------------------------------------------------------------------

S = "[services.main]\n"
U = S + 'url = "postgresql://me@host"\n'
ROWS = [
    # text, line, key, message, hint
    ("service = 1", 1, "service", "not a known key", "Did you mean services?"),
    ("\n\nzzz = 1", 3, "zzz", "not a known key", "registry, registry_password, keep_dropped"),
    (U + 'pasword = "env:A"', 3, "services.main.pasword", "not a known key", "Did you mean password?"),
    (U + 'port = "1"', 3, "services.main.port", "not a known key", "url, password, admin_url"),
    ("[engine]\npool = 1", 2, "engine.pool", "not a known key", "pool_timeout"),
    (S, 1, "services.main.url", "is missing", "Add url = "),
    ("services = 5", 1, "services", "a whole number, not a table", "header"),
    ("services.x = true", 1, "services.x", "true or false, not a table", "header"),
    ("services.x = [1]", 1, "services.x", "a list, not a table", "header"),
    ("links = 1979-05-27", 1, "links", "a date, not a table", "header"),
    (S + "url = 5", 2, "services.main.url", "a whole number, not text", "quotes"),
    (S + 'url = "nowhere"', 2, "services.main.url", "not a database address", "postgresql://user@host"),
    (S + 'url = "postgresql://host"', 2, "services.main.url", "names no user", "postgresql://user@host"),
    (S + 'url = "sqlite://"', 2, "services.main.url", "no directory", "sqlite:///"),
    (S + 'url = "mongo://x"', 2, "services.main.url", "no backend for 'mongo'", "sqlite"),
    (S + 'url = "sqlite:///a\\nb"', 2, "services.main.url", "can't be shown", "control characters"),
    (S + f'url = "postgresql://me:{SECRET}@h"', 2, "services.main.url", "holds a password", "env:NAME"),
    (S + f'url = "postgresql://me@h?password={SECRET}"', 2, "services.main.url", "a password", "env:NAME"),
    (
        U + f'admin_url = "postgresql://me:{SECRET}@h"',
        3,
        "services.main.admin_url",
        "holds a password",
        "env:NAME",
    ),
    (f'registry = "postgresql://me:{SECRET}@h/r"', 1, "registry", "holds a password", "Take it out"),
    (U + f'password = "{SECRET}"', 3, "services.main.password", "not a secret reference", "env:NAME"),
    (U + f'password = "vault:{SECRET}"', 3, "services.main.password", "not a secret reference", "file:"),
    (U + 'password = "file:a\\u0000b"', 3, "services.main.password", "can't be shown", "control"),
    (U + 'password = "env:"', 3, "services.main.password", "not a secret reference", "env:NAME"),
    (U + 'admin_password = "env:A"', 3, "services.main.admin_password", "no admin_url", "Add admin_url"),
    (U + "pooled = 1", 3, "services.main.pooled", "a whole number, not true or false", "true or false"),
    (U + "max_connections = 0", 3, "services.main.max_connections", "out of range", "from 1 to 10000"),
    ('registry_password = "env:A"', 1, "registry_password", "no registry beside", "Add registry"),
    (f'registry_password = "{SECRET}"', 1, "registry_password", "not a secret reference", "env:NAME"),
    ('[services.""]\nurl = "sqlite:///a"', 1, 'services.""', "is empty", "1 to 200"),
    (
        f'[services."postgres://a:{SECRET}@h"]\nurl = "sqlite:///a"',
        1,
        'services."postgres://***"',
        "is an",
        "",
    ),
    ('[links]\nlab = "main"', 2, "links.lab", "does not name an app and a setting", '"app:setting"'),
    ('[links]\n":x" = "main"', 2, 'links.":x"', "name of this app is empty", "1 to 200"),
    ('[links]\n"x:" = "main"', 2, 'links."x:"', "name of this setting is empty", "1 to 200"),
    ('[links]\n"x:y" = ""', 2, 'links."x:y"', "name of this service is empty", "1 to 200"),
    ('[links]\n"x:y" = 1', 2, 'links."x:y"', "a whole number, not text", "quotes"),
    ("[links.lab]\ngages = {}", 2, "links.lab.gages", "a table, not text", "quotes"),
    ('[links.lab]\na.b = "main"', 2, "links.lab.a", "a table, not text", "a key with a dot needs quotes"),
    (
        f'[links]\n"x:y" = "postgresql://a:{SECRET}@h"',
        2,
        'links."x:y"',
        "is an address",
        "name of the service",
    ),
    (f'[links]\n"postgresql://a:{SECRET}@h" = "x"', 2, 'links."postgresql://***"', "is an address", ""),
    (
        '[links]\n"lab:x" = "a"\n[links.lab]\nx = "a"',
        4,
        "links.lab.x",
        "linked twice",
        'links."lab:x"',
    ),
    ('[apps]\nlab = "lab.app"', 2, "apps.lab", "does not name a class", "package.module:Class"),
    ('[apps]\nlab = "lab.app:my App"', 2, "apps.lab", "does not name a class", "package.module:Class"),
    ('[apps]\n"" = "lab.app:App"', 2, 'apps.""', "is empty", "1 to 200"),
    (
        '[engine]\nmax_connections = "5"',
        2,
        "engine.max_connections",
        "text, not a whole number",
        "without quotes",
    ),
    (
        "[engine]\nmax_connections = true",
        2,
        "engine.max_connections",
        "true or false, not a whole",
        "without quotes",
    ),
    (
        "[engine]\nmax_connections = 5.0",
        2,
        "engine.max_connections",
        "a decimal number, not a whole",
        "without quotes",
    ),
    ("[engine]\npool_size = 5", 2, "engine.pool_size", "is now max_connections", "over all its stores"),
    ("[engine]\nmax_overflow = 5", 2, "engine.max_overflow", "is now max_connections", "over all"),
    (U + "pool_size = 5", 3, "services.main.pool_size", "is now max_connections", "over all its stores"),
    ("[engine]\nconnect_timeout = 0", 2, "engine.connect_timeout", "out of range", "from 1 to"),
    ("[engine]\nstatement_timeout = 0", 2, "engine.statement_timeout", "out of range", "from 0.001 to"),
    ("[engine]\nrefresh_interval = -1", 2, "engine.refresh_interval", "out of range", "from 0 to"),
    ("[engine]\nshare_statements = 1", 2, "engine.share_statements", "not true or false", "true or"),
    ("[engine]\nmax_connections = -5", 2, "engine.max_connections", "out of range", "from 1 to"),
    ("[engine]\npool_timeout = nan", 2, "engine.pool_timeout", "out of range", "from 0 to"),
    ("[engine]\npool_timeout = 1" + "0" * 400, 2, "engine.pool_timeout", "out of range", "from 0 to"),
    ("[engine]\npool_timeout = 1e999", 2, "engine.pool_timeout", "out of range", "from 0 to"),
    ("[engine]\npool_timeout = '1'", 2, "engine.pool_timeout", "text, not a number", "without quotes"),
    ("[engine]\necho = 1", 2, "engine.echo", "a whole number, not true or false", "true or false"),
    ("[links]\n\nx = = 1", 3, "", "not TOML: Invalid value (column 5)", "Correct the line"),
    ("[links]\nx = '''\n\n", 2, "", "(end of file)", "Correct the line"),
    (f'"x://{SECRET}" = 1\n"x://{SECRET}" = 1\n["x://{SECRET}"]', 2, "", "not TOML", "Correct the line"),
    (f'["x://{SECRET}"]\n["x://{SECRET}"]', 2, "", "not TOML: Cannot declare ('x://***", "Correct the line"),
    ("x = 1" + "0" * 5000, 1, "", "a value can't be read", "Correct the line"),
    ("x = " + "[" * 100_000, 1, "", "Too many brackets", "headers"),
    (b"[links]\n'\xff:a' = 'b'", 2, "", "not UTF-8", "Save the file as UTF-8"),
]


@pytest.mark.parametrize(
    ("text", "line", "key", "message", "hint"),
    ROWS,
    ids=[f"{n} {row[2]} {row[3]}" for n, row in enumerate(ROWS)],
)
def test_an_error_names_line_key_and_remedy_and_no_secret(problems, text, line, key, message, hint):
    ((found_line, found_key, found_message, found_hint),) = problems(text)
    assert (found_line, found_key) == (line, key)
    assert message in found_message
    assert hint in found_hint
    assert found_hint
    assert SECRET not in f"{found_key} {found_message} {found_hint}"


def test_all_errors_of_a_file_are_told_at_once_in_the_order_of_its_lines(read):
    text = """\
[engine]
max_connections = "5"
[services.primary]
url = "postgresql://me:hunter2@host"
password = "hunter2"
admin_password = "env:A"
[services.""]
[links]
lab = "primary"
"""
    with pytest.raises(ConfigProblems) as caught:
        read(text)
    lines = str(caught.value).splitlines()
    assert [line.partition(": ")[0] for line in lines] == [
        f"penstock.toml:{n}" for n in (2, 4, 5, 6, 7, 7, 9)
    ]
    assert lines[1] == (
        "penstock.toml:4: services.primary.url: holds a password -> "
        'Take it out, and say where it is beside the address of a service: password = "env:NAME"'
    )
    assert SECRET not in str(caught.value)


def test_the_error_is_a_config_error_that_survives_pickling(read):
    with pytest.raises(ConfigError) as caught:
        read("x = 1")
    again = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 — made one line above
    assert (str(again), again.problems) == (str(caught.value), caught.value.problems)


# --- links and secrets, checked later ------------------------------------------------------------


def test_a_link_to_an_unknown_service_is_found_once_all_services_are_known(read):
    config = read('[services.main]\nurl = "sqlite:///a"\n[links]\n"lab:x" = "mian"\n[links.lab]\ny = "zz"')
    with pytest.raises(ConfigProblems) as caught:
        check_links(config)
    first, second = str(caught.value).splitlines()
    assert first == "penstock.toml:4: links.\"lab:x\": There is no service 'mian' -> Did you mean main?"
    assert second.startswith("penstock.toml:6: links.lab.y: There is no service 'zz' -> ")
    assert second.endswith("This file has: main. Add it: penstock services add zz")
    check_links(config, {"mian", "zz"})


def test_a_link_in_a_file_without_services_is_told_so(read):
    with pytest.raises(ConfigProblems, match="This file has none"):
        check_links(read('[links]\n"lab:x" = "main"'))


def test_a_missing_secret_is_found_with_its_line_and_remedy(read, monkeypatch, home):
    monkeypatch.delenv("MAIN_PW", raising=False)
    config = read(WHOLE)
    with pytest.raises(ConfigProblems) as caught:
        check_secrets(config)
    registry, variable, file = caught.value.problems
    assert (registry.line, registry.key) == (2, "registry_password")
    assert f"{home}/secrets/registry can't be read" in registry.message
    assert (variable.line, variable.key) == (5, "services.main.password")
    assert "MAIN_PW is not set" in variable.message
    assert "Set MAIN_PW" in variable.hint
    assert (file.line, file.key) == (7, "services.main.admin_password")
    assert f"{home}/secrets/admin can't be read" in file.message
    assert "Create the file" in file.hint


def test_a_secret_file_that_holds_no_password_is_found_without_showing_it(read, home, monkeypatch):
    monkeypatch.setenv("MAIN_PW", SECRET)
    (home / "secrets").mkdir()
    (home / "secrets/registry").write_text(SECRET)
    (home / "secrets/admin").write_bytes(SECRET.encode() * 10_000)
    with pytest.raises(ConfigProblems) as caught:
        check_secrets(read(WHOLE))
    assert "too large" in str(caught.value)
    assert SECRET not in str(caught.value)


def test_secrets_that_are_there_are_fine(read, home, monkeypatch):
    monkeypatch.setenv("MAIN_PW", SECRET)
    (home / "secrets").mkdir()
    for name in ("admin", "registry"):
        (home / "secrets" / name).write_text(SECRET)
    check_secrets(read(WHOLE))


# --- files that nobody thought of ----------------------------------------------------------------

WORDS = """
registry registry_password services links apps engine url pooled password admin_url
admin_password max_connections pool_timeout echo
main "a:b" "" 'x.y' services.main links.lab
"""
TEXTS = f"""
main env:A file:a a.b:C sqlite:///a {SECRET} {SECRET}:// postgresql://me:{SECRET}@h
postgresql://h:{SECRET} sqlite://{SECRET} postgresql://me@h/?pwd={SECRET} postgresql://me@h
"""
KEYS = st.sampled_from(WORDS.split())
VALUES = st.one_of(
    st.sampled_from(["1", "-1", "1e999", "nan", "true", "[]", "{}", "{url = ''}", "07:32:00", "'''"]),
    st.sampled_from(TEXTS.split()).map("'{}'".format),
)
LINES = st.one_of(
    st.builds("[{}]".format, KEYS),
    st.builds("[{}.{}]".format, KEYS, KEYS),
    st.builds("{} = {}".format, KEYS, VALUES),
    st.builds("{}.{} = {}".format, KEYS, KEYS, VALUES),
    st.text(max_size=20),
)


@given(text=st.one_of(st.lists(LINES, max_size=8).map("\n".join).map(str.encode), st.binary(max_size=40)))
def test_any_file_is_read_or_refused_with_a_line_and_no_secret(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_bytes(text)
    error = refusal(path)
    if error is not None:
        # A word before :// is the name of a dialect, whatever it is.
        assert SECRET not in str(error).replace(f"backend for '{SECRET}'", "")
        assert all(1 <= problem.line <= text.count(b"\n") + 1 for problem in error.problems)
        assert all(problem.message and problem.hint for problem in error.problems)


def refusal(path: Path) -> ConfigProblems | None:
    """The error of a file, or None if it has none."""
    try:
        config = read_config(path)
        check_links(config, {service.name for service in config.services} | {SECRET})
    except ConfigProblems as error:
        return error
    return None
