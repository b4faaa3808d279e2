"""Brokers with names: where they are declared, what a name stands for, and what is refused."""

import os
import re
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from textwrap import dedent
from typing import Any
from urllib.parse import quote

import pytest

import ltq
import ltq.testing
from ltq.broker._named.resolve import broker_names

BOTH = """
[brokers.orders]
url = "memory://orders"
primary = true

[brokers.notifications]
url = "memory://notifications"
"""

TWO_PRIMARIES = """
[brokers]
a = {url = "redis://:secret@h", primary = true}
b = {url = "redis://:secret@h", primary = true}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder: the root of a repository, in an environment that says nothing."""
    for name in [name for name in os.environ if name.startswith("LTQ_BROKER_URL")]:
        monkeypatch.delenv(name)
    (tmp_path / ".git").mkdir()
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    ltq.configure_brokers(None)


def url_of(name: str) -> str:
    return ltq.Broker.from_url(name).url


def refused(name: str = "@orders") -> str:
    """The error for a name."""
    with pytest.raises(ltq.ConfigurationError) as caught:
        ltq.Broker.from_url(name)
    return str(caught.value)


class TestFile:
    def test_a_name_stands_for_its_url(self, folder: Path) -> None:
        (folder / "ltq.toml").write_text(BOTH)
        assert url_of("@orders") == "memory://orders"
        assert url_of("@notifications") == "memory://notifications"

    def test_pyproject_has_a_table_for_it(self, folder: Path) -> None:
        text = f"[project]\nname = 'shop'\n{BOTH.replace('[brokers', '[tool.ltq.brokers')}"
        (folder / "pyproject.toml").write_text(text)
        assert url_of("@notifications") == "memory://notifications"

    def test_the_nearest_one_from_the_current_folder_upwards_counts(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        below = folder / "shop" / "mail"
        below.mkdir(parents=True)
        (folder / "ltq.toml").write_text(BOTH)
        (folder / "shop" / "pyproject.toml").write_text("[project]\nname = 'ltq-shop'\n")
        monkeypatch.chdir(below)
        assert url_of("@orders") == "memory://orders", "a file without [tool.ltq] is passed by"
        (folder / "shop" / "pyproject.toml").write_text(
            "[tool.ltq]\nbrokers.orders.url = 'memory://nearer'\n"
        )
        assert url_of("@orders") == "memory://nearer"
        (folder / "shop" / "ltq.toml").write_text("brokers.orders.url = 'memory://own'\n")
        assert url_of("@orders") == "memory://own", "ltq.toml comes before pyproject.toml"

    @pytest.mark.parametrize("below", [".", "src/shop"])
    def test_a_relative_path_starts_in_the_folder_of_the_file(
        self, folder: Path, below: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (home := folder / "100% #1").mkdir()
        (home / "ltq.toml").write_text(
            """
            [brokers]
            jobs = {url = "sqlite:///jobs.db?sync=normal", primary = true}
            mail = {url = "SQLite:///../mail.db"}
            logs = {url = "sqlite:////var/logs.db"}
            last = {url = "@jobs"}
            """
        )
        (home / below).mkdir(parents=True, exist_ok=True)
        monkeypatch.chdir(home / below)
        place = f"sqlite:///{quote(str(home))}"
        assert url_of("@jobs") == url_of("@last") == f"{place}/jobs.db"
        assert ltq.Worker("shop").broker.url == f"{place}/jobs.db"
        assert url_of("@mail") == f"{place}/../mail.db"
        assert url_of("@logs") == "sqlite:////var/logs.db"
        monkeypatch.setenv("LTQ_BROKER_URL_JOBS", "sqlite:///here.db")
        assert url_of("@jobs") == f"sqlite:///{quote(os.getcwd())}/here.db"

    @pytest.mark.skipif(sys.platform == "darwin", reason="names are UTF-8 there")
    def test_the_folder_of_the_file_need_not_be_utf_8(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (home := folder / os.fsdecode(b"caf\xe9")).mkdir()
        (home / "ltq.toml").write_text("brokers.jobs.url = 'sqlite:///jobs.db'")
        monkeypatch.chdir(home)
        assert url_of("@jobs") == f"sqlite:///{quote(str(folder))}/caf%E9/jobs.db"

    def test_a_broker_of_others_says_how_its_paths_are_read(
        self,
        folder: Path,
        monkeypatch: pytest.MonkeyPatch,
        tmp_path_factory: pytest.TempPathFactory,
    ) -> None:
        package = tmp_path_factory.mktemp("package")
        (package / "drawer.py").write_text(
            dedent("""
            from ltq.brokers.memory import MemoryBroker

            class Drawer(MemoryBroker):
                def __init__(self, url):
                    super().__init__("memory://drawer")
                    self._drawer_url = url

                @property
                def url(self):
                    return self._drawer_url

                @staticmethod
                def in_folder(url, folder):
                    return f"drawer:///{folder} and {url.partition(':///')[2]}"
            """)
        )
        (package / "drawer-1.dist-info").mkdir()
        (package / "drawer-1.dist-info" / "METADATA").write_text("Name: drawer\nVersion: 1\n")
        entry = "[ltq.brokers]\ndrawer = drawer:Drawer\n"
        (package / "drawer-1.dist-info" / "entry_points.txt").write_text(entry)
        monkeypatch.syspath_prepend(package)
        (folder / "ltq.toml").write_text("brokers.jobs.url = 'drawer:///jobs'")
        assert url_of("@jobs") == f"drawer:///{folder} and jobs"

    @pytest.mark.parametrize("url", ["sqlite://", "sqlite:///", "sqlite:///?sync=full"])
    def test_a_url_that_names_no_file_is_refused(self, folder: Path, url: str) -> None:
        (folder / "ltq.toml").write_text(f'[brokers.orders]\nurl = "{url}"')
        assert "it should be like sqlite:///jobs.db" in refused()

    def test_nothing_above_the_root_of_a_repository_counts(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (folder / "ltq.toml").write_text(BOTH)
        (folder / "other" / ".git").mkdir(parents=True)
        monkeypatch.chdir(folder / "other")
        assert "no broker has a name" in refused()

    def test_a_folder_that_was_removed_has_none(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (folder / "gone").mkdir()
        monkeypatch.chdir(folder / "gone")
        (folder / "gone").rmdir()
        assert "no broker has a name" in refused()
        assert ltq.Worker("shop").broker.url == "redis://localhost:6379"

    def test_a_mark_at_the_beginning_is_no_mistake(self, folder: Path) -> None:
        (folder / "ltq.toml").write_bytes(b"\xef\xbb\xbf" + BOTH.replace("\n", "\r\n").encode())
        assert url_of("@orders") == "memory://orders"

    def test_variables_of_the_environment_are_put_in(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (folder / "ltq.toml").write_text(
            'brokers.orders.url = "redis://:${PW_1}@${HOST_NAME}:6380/${DB}"'
        )
        for name, value in {"PW_1": "secret", "HOST_NAME": "red", "DB": "2"}.items():
            monkeypatch.setenv(name, value)
        assert url_of("@orders") == "redis://red:6380/2"


class TestFileWithMistakes:
    """Each error names the file, the key, and what is allowed; none shows a URL."""

    @pytest.mark.parametrize(
        ("text", "error"),
        [
            ("[brokers.orders\nurl = 'redis://:secret@h'", r" is not valid TOML: .*line 1"),
            (
                "[broker.orders]",
                r": unknown key broker: did you mean brokers\? allowed are brokers",
            ),
            (
                "brokers.orders.ulr = 'redis://:secret@h'",
                r": unknown key brokers\.orders\.ulr: did you mean url\? allowed are url, primary",
            ),
            ("[brokers.orders]", r": brokers\.orders has no url"),
            ("brokers.orders.url = ''", r": brokers\.orders\.url is empty"),
            (
                "brokers.orders.url = ['redis://:secret@h']",
                r": brokers\.orders\.url is not allowed to be of type list: a text",
            ),
            (
                "brokers.orders = 'redis://:secret@h'",
                r": brokers\.orders is not allowed to be of type str: a table",
            ),
            ("brokers = 7", r": brokers is not allowed to be of type int: a table"),
            (
                "brokers.orders = {url = 'memory://a', primary = 'redis://:secret@h'}",
                r": brokers\.orders\.primary is not allowed to be of type str: true or false",
            ),
            (
                TWO_PRIMARIES,
                r": a and b are primary: only one of them can be",
            ),
            (
                "brokers.Orders.url = 'redis://:secret@h'",
                r": 'Orders' is not allowed as the name of a broker: .* a-z 0-9",
            ),
            (
                "[brokers]\na-b.url = 'redis://:secret@h'\na_b.url = 'memory://b'",
                r": brokers a-b and a_b would share the environment's LTQ_BROKER_URL_A_B",
            ),
        ],
    )
    def test_it_is_named(self, text: str, error: str, folder: Path) -> None:
        (folder / "ltq.toml").write_text(text)
        told = refused()
        assert re.match(f"{re.escape(str(folder))}/ltq.toml{error}", told)
        assert "secret" not in told

    def test_a_key_of_pyproject_is_named_as_it_stands_there(self, folder: Path) -> None:
        (folder / "pyproject.toml").write_text("[tool.ltq.brokers.orders]\nulr = 'memory://a'\n")
        told = refused()
        assert told.startswith(f"{folder}/pyproject.toml: unknown key tool.ltq.brokers.orders.ulr")
        (folder / "pyproject.toml").write_text("[tool]\nltq = 5\n")
        assert "tool.ltq is not allowed to be of type int: a table" in refused()

    def test_a_pyproject_that_is_no_toml_matters_only_if_it_is_about_ltq(
        self, folder: Path
    ) -> None:
        (folder / "pyproject.toml").write_text("dependencies = ['ltq'\n<<<<<<< ours")
        assert "no broker has a name" in refused()
        (folder / "pyproject.toml").write_text("[tool.ltq.brokers.orders\n")
        assert f"{folder}/pyproject.toml is not valid TOML" in refused()

    def test_a_pyproject_that_is_about_other_tools_is_passed_by(self, folder: Path) -> None:
        (folder / "pyproject.toml").write_text("[tool.ruff\n")
        assert "no broker has a name" in refused()

    def test_bytes_that_are_no_text(self, folder: Path) -> None:
        (folder / "ltq.toml").write_bytes(b"\xff\xfe")
        assert f"{folder}/ltq.toml is not valid TOML" in refused()

    def test_a_file_that_cannot_be_read(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def forbid(path: str, mode: str) -> Any:
            raise PermissionError(13, "Permission denied", path)

        (folder / "ltq.toml").touch()
        monkeypatch.setattr("builtins.open", forbid)
        assert refused() == f"{folder}/ltq.toml cannot be read: Permission denied"

    def test_who_says_a_url_reads_no_file(self, folder: Path) -> None:
        (folder / "ltq.toml").write_text("[")
        assert ltq.Worker("shop", broker_url="memory://a").broker.url == "memory://a"


class TestNames:
    @pytest.mark.parametrize(
        ("name", "hint"),
        [
            ("@notificatons", "did you mean @notifications? "),
            ("@order", "did you mean @orders? "),
            ("@zzz", ""),
        ],
    )
    def test_an_unknown_one_is_told_with_those_there_are(
        self, name: str, hint: str, folder: Path
    ) -> None:
        (folder / "ltq.toml").write_text(BOTH)
        assert refused(name) == (
            f"there is no broker {name}: {hint}there are @orders, @notifications "
            f"({folder}/ltq.toml)"
        )

    def test_where_no_broker_has_a_name_it_is_told_how_to_give_one(self) -> None:
        told = refused("@mail")
        assert told.startswith("there is no broker @mail: no broker has a name. ")
        assert "ltq.toml" in told
        assert "LTQ_BROKER_URL_MAIL" in told

    def test_a_file_may_declare_none(self, folder: Path) -> None:
        (folder / "ltq.toml").touch()
        assert refused() == f"there is no broker @orders: {folder}/ltq.toml declares none"

    @pytest.mark.parametrize("name", ["@", "@Mail", "@a b", "@1", "@" + "a" * 65, "@u:secret@h"])
    def test_what_is_no_name_is_refused_at_once(self, name: str) -> None:
        for make in (ltq.Broker.from_url, lambda url: ltq.Worker("shop", broker_url=url)):
            with pytest.raises(
                ltq.ConfigurationError, match="@ and the name of a broker"
            ) as caught:
                make(name)
            assert "secret" not in str(caught.value)

    def test_a_variable_that_is_not_set_is_named(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SHOP_REDIS_URL", "redis://:secret@h")
        monkeypatch.setenv("EMPTY", "")
        (folder / "ltq.toml").write_text(
            'brokers.orders.url = "${SHOP_REDIS_ULR}"\nbrokers.b.url = "redis://${EMPTY}:${NO}/0"'
        )
        where = f"brokers.orders.url of {folder}/ltq.toml"
        assert refused() == (
            f"@orders, {where}: ${{SHOP_REDIS_ULR}} is not set, or empty. "
            "did you mean SHOP_REDIS_URL?"
        )
        assert "${EMPTY} and ${NO} is not set, or empty" in refused("@b")

    @pytest.mark.parametrize("url", ["${A", "${A:-redis://:secret@h}", "redis://${}"])
    def test_what_is_no_variable_is_refused(
        self, url: str, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("A", "redis://a")
        (folder / "ltq.toml").write_text(f'brokers.orders.url = "{url}"')
        told = refused()
        assert "a variable's name and }, as ${REDIS_URL}" in told
        assert "secret" not in told

    def test_a_name_without_its_mark_is_told(self, folder: Path) -> None:
        (folder / "ltq.toml").write_text(BOTH)
        assert "'orders' has no known scheme: did you mean @orders? allowed" in refused("orders")
        assert "'other' has no known scheme: allowed are" in refused("other")
        (folder / "ltq.toml").write_text("no toml")
        assert "'orders' has no known scheme: allowed are" in refused("orders")

    def test_a_name_may_stand_for_another_one_but_not_in_a_circle(self, folder: Path) -> None:
        (folder / "ltq.toml").write_text(
            "[brokers]\na.url = '@b'\nb.url = 'memory://b'\n"
            "x.url = '@y'\ny.url = '@z'\nz.url = '@y'\nself.url = '@self'\nlost.url = '@none'"
        )
        assert url_of("@a") == "memory://b"
        assert refused("@x") == (
            f"@z, brokers.z.url of {folder}/ltq.toml: @y -> @z -> @y is a circle: "
            "one of them needs a URL"
        )
        assert "@self -> @self is a circle" in refused("@self")
        assert refused("@lost").startswith(
            f"@lost, brokers.lost.url of {folder}/ltq.toml: there is no broker @none: "
        )

    def test_a_wrong_url_is_told_by_its_name_and_never_shown(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SHOP_PASSWORD", "secret")
        (folder / "ltq.toml").write_text(
            '[brokers]\na.url = "${SHOP_PASSWORD}"\nb.url = "ftp://u:secret@h"\n'
            'c.url = "redis://:${SHOP_PASSWORD}@h:port"'
        )
        for name, told in {
            "a": "that is not a broker URL",
            "b": "broker URL 'ftp://h' has no known scheme",
            "c": "broker URL 'redis://h:port' cannot be read",
        }.items():
            error = refused(f"@{name}")
            assert error.startswith(f"@{name}, brokers.{name}.url of {folder}/ltq.toml: {told}")
            assert "secret" not in error


class TestEnvironment:
    def test_it_comes_before_the_file_and_the_code(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (folder / "ltq.toml").write_text(BOTH)
        monkeypatch.setenv("LTQ_BROKER_URL_ORDERS", "memory://there")
        assert url_of("@orders") == "memory://there"
        ltq.configure_brokers({"orders": "memory://code"})
        assert url_of("@orders") == "memory://there"
        monkeypatch.setenv("LTQ_BROKER_URL_ORDERS", "")
        assert url_of("@orders") == "memory://code", "an empty one counts as none"

    def test_it_may_be_the_only_place_of_a_name(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("LTQ_BROKER_URL_EU_WEST", "memory://eu")
        assert url_of("@eu-west") == url_of("@eu_west") == "memory://eu"
        assert "there are @eu_west" in refused("@us")

    def test_all_names_are_known(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (folder / "ltq.toml").write_text(f"{BOTH}\n[brokers.eu-west]\nurl = 'memory://eu'")
        for name in ("EU_WEST", "ASIA", "1", "", "mixed"):
            monkeypatch.setenv(f"LTQ_BROKER_URL_{name}", "memory://x")
        assert broker_names() == ("orders", "notifications", "eu-west", "asia")

    def test_a_wrong_value_is_told_by_the_variable(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("LTQ_BROKER_URL_ORDERS", "secret")
        assert refused().startswith("@orders, LTQ_BROKER_URL_ORDERS of the environment: that is no")
        monkeypatch.setenv("LTQ_BROKER_URL", "@nobody")
        with pytest.raises(
            ltq.ConfigurationError, match="LTQ_BROKER_URL of the environment: there"
        ):
            _ = ltq.Worker("shop").broker


class TestCode:
    def test_it_stands_in_place_of_the_file(self, folder: Path) -> None:
        (folder / "ltq.toml").write_text("[")
        ltq.configure_brokers({"mail": "memory://mail"})
        assert url_of("@mail") == "memory://mail"
        assert "there are @mail (ltq.configure_brokers)" in refused("@orders")
        (folder / "ltq.toml").write_text(BOTH)
        ltq.configure_brokers(None)
        assert url_of("@orders") == "memory://orders"

    def test_variables_of_the_environment_are_put_in(self, monkeypatch: pytest.MonkeyPatch) -> None:
        ltq.configure_brokers({"mail": "${MAIL_URL}"})
        assert refused("@mail").startswith(
            "@mail, 'mail' of ltq.configure_brokers: ${MAIL_URL} is not set"
        )
        monkeypatch.setenv("MAIL_URL", "memory://mail")
        assert url_of("@mail") == "memory://mail"

    @pytest.mark.parametrize(
        ("brokers", "primary", "error"),
        [
            ("redis://:secret@h", None, "brokers is not allowed to be of type str: URLs by name"),
            ({"mail": 5}, None, "the URL of 'mail' is not allowed to be of type int: a text"),
            ({"mail": ""}, None, "the URL of 'mail' is empty"),
            (
                {"Mail": "memory://a"},
                None,
                "'Mail' is not allowed as the name of a broker: 1 to 64",
            ),
            ({5: "memory://a"}, None, "what is of type int is not allowed as the name of a broker"),
            (
                {"mail": "memory://a", "orders": "memory://b"},
                "male",
                "primary='male' is none of the brokers: did you mean mail? allowed are mail, ",
            ),
            ({"mail": "memory://a"}, "redis://:secret@h", "primary=what is of type str is none of"),
            ({"mail": "memory://a"}, ["mail"], "primary=what is of type list is none of"),
            ({}, "mail", "primary='mail' is none of the brokers: allowed are none"),
            (None, "mail", "primary is not allowed without brokers"),
        ],
    )
    def test_a_wrong_value_is_named_and_changes_nothing(
        self, brokers: Any, primary: str | None, error: str
    ) -> None:
        ltq.configure_brokers({"before": "memory://before"})
        with pytest.raises(ltq.ConfigurationError) as caught:
            ltq.configure_brokers(brokers, primary=primary)
        assert str(caught.value).startswith(f"ltq.configure_brokers: {error}")
        assert "secret" not in str(caught.value)
        assert broker_names() == ("before",)

    def test_a_later_change_of_the_mapping_changes_nothing(self) -> None:
        brokers = {"mail": "memory://mail"}
        ltq.configure_brokers(brokers)
        brokers.clear()
        assert url_of("@mail") == "memory://mail"


class TestWorkers:
    def test_without_a_url_they_use_the_primary_one(self, folder: Path) -> None:
        (folder / "ltq.toml").write_text(BOTH)
        assert ltq.Worker("shop").broker.url == "memory://orders"
        assert ltq.Scheduler().broker.url == "memory://orders"
        assert ltq.Worker("mail", broker_url="@notifications").broker.url == (
            "memory://notifications"
        )
        assert ltq.Scheduler("@notifications").broker.url == "memory://notifications"

    def test_the_environment_comes_before_the_primary_one(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (folder / "ltq.toml").write_text(BOTH)
        monkeypatch.setenv("LTQ_BROKER_URL", "memory://environment")
        assert ltq.Worker("shop").broker.url == "memory://environment"
        monkeypatch.setenv("LTQ_BROKER_URL", "@notifications")
        assert ltq.Worker("shop").broker.url == "memory://notifications"

    def test_the_one_that_is_called_primary_is_it_if_no_other_is_declared_so(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        text = "[brokers]\nmail.url = 'memory://mail'\nprimary.url = 'memory://called'\n"
        (folder / "ltq.toml").write_text(text)
        assert ltq.Worker("shop").broker.url == "memory://called"
        (folder / "ltq.toml").write_text(f"{text}mail.primary = true\n")
        assert ltq.Worker("shop").broker.url == "memory://mail"
        (folder / "ltq.toml").unlink()
        monkeypatch.setenv("LTQ_BROKER_URL_PRIMARY", "memory://environment")
        assert ltq.Worker("shop").broker.url == "memory://environment"

    def test_without_a_primary_one_it_is_redis_on_this_host(self) -> None:
        ltq.configure_brokers({"mail": "memory://mail"})
        assert ltq.Worker("shop").broker.url == "redis://localhost:6379"

    def test_names_may_be_declared_after_the_workers_but_before_their_first_use(self) -> None:
        worker, mail = ltq.Worker("shop"), ltq.Worker("mail", broker_url="@mail")
        scheduler = ltq.Scheduler("@mail")
        ltq.configure_brokers({"shop": "memory://s", "mail": "memory://m"}, primary="shop")
        assert [one.broker.url for one in (worker, mail, scheduler)] == [
            *("memory://s", "memory://m", "memory://m")
        ]
        ltq.configure_brokers({"shop": "memory://s2", "mail": "memory://m2"}, primary="shop")
        assert worker.broker.url == "memory://s", "what is in use stays as it is"

    def test_a_url_is_looked_at_at_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(ltq.ConfigurationError, match="no known scheme"):
            ltq.Worker("shop", broker_url="nonsense")
        monkeypatch.setenv("LTQ_BROKER_URL", "nonsense")
        with pytest.raises(ltq.ConfigurationError, match="LTQ_BROKER_URL of the environment: brok"):
            ltq.Worker("shop")
        monkeypatch.setenv("LTQ_BROKER_URL", "memory://then")
        worker = ltq.Worker("shop")
        monkeypatch.setenv("LTQ_BROKER_URL", "memory://later")
        assert worker.broker.url == "memory://then"

    def test_an_unknown_name_is_told_at_the_first_use_and_each_one_after(self) -> None:
        worker = ltq.Worker("shop", broker_url="@orders")
        for _ in range(2):
            with pytest.raises(ltq.ConfigurationError, match="there is no broker @orders"):
                _ = worker.broker
        ltq.configure_brokers({"orders": "memory://orders"})
        assert worker.broker.url == "memory://orders"

    async def test_one_that_was_never_used_is_closed_without_looking_its_name_up(self) -> None:
        await ltq.Worker("shop", broker_url="@nobody").aclose()

    def test_all_threads_get_the_same_broker(self, folder: Path) -> None:
        (folder / "ltq.toml").write_text(BOTH)
        threads = 8
        start = threading.Barrier(threads)

        def look(worker: ltq.Worker) -> ltq.Broker:
            start.wait()
            return worker.broker

        with ThreadPoolExecutor(threads) as pool:
            for _ in range(20):
                worker = ltq.Worker("shop", broker_url="@orders")
                assert len(set(pool.map(look, [worker] * threads))) == 1


class TestUnderTest:
    async def test_no_file_disturbs_it(self, folder: Path) -> None:
        (folder / "ltq.toml").write_text("[")
        worker, mail = ltq.Worker("shop"), ltq.Worker("mail", broker_url="@nobody")
        scheduler = ltq.Scheduler("@nobody")

        @mail.task
        async def write(to: str) -> str:
            return to

        @worker.task
        async def order() -> str:
            return (await write.send("joe")).id

        async with ltq.testing.use(worker, mail, scheduler) as box:
            await order.send()
            states = await box.drain()
        assert [state.task_name for state in states] == ["shop:order", "mail:write"]
        with pytest.raises(ltq.ConfigurationError, match="is not valid TOML"):
            _ = worker.broker
        (folder / "ltq.toml").write_text(BOTH)
        assert worker.broker.url == "memory://orders", "it has not kept the broker of the test"

    async def test_a_worker_that_is_left_out_is_told_whatever_its_broker_is(self) -> None:
        worker, mail = ltq.Worker("shop"), ltq.Worker("mail", broker_url="@nobody")

        @mail.task
        async def write() -> None: ...

        async with ltq.testing.use(worker):
            with pytest.raises(
                ltq.ConfigurationError, match="its worker is not under test"
            ) as told:
                await write.send()
        assert "there is no broker @nobody" in str(told.value)
