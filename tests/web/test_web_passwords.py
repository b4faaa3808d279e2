"""Signing in: the file of names and hashes, sessions, Basic, and who guesses."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import argon2
import bcrypt
import httpx
import pytest

import ltq
from ltq.web._app import make_app
from ltq.web._door.passwords import Passwords, TooManyWrongError, hash_password
from ltq.web._door.sessions import SESSION_SECONDS, PasswordGate
from ltq.web._door.users import UserFile, check_user_name, read_users
from ltq.web._source.site import make_site
from tests.web.boards import browse, serve

ADA = (
    "$argon2id$v=19$m=64,t=1,p=1$R1055OZQx5GoH0RQfj51Yw$coXYuUp+NVni/axOi1jv565S2GudiJxE6sn9qvuiVMQ"
)
"""A hash of `lovelace` that is quick to check."""


@pytest.fixture(autouse=True)
def quick_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashes are dear on purpose; nothing here is about that."""
    hasher = argon2.PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
    monkeypatch.setattr("ltq.web._door.passwords._HASHER", hasher)


class TestFile:
    def test_names_and_hashes_of_both_kinds_are_read(self, tmp_path: Path) -> None:
        hashed = bcrypt.hashpw(b"hopper", bcrypt.gensalt(4)).decode()
        file = tmp_path / "users"
        file.write_text(f"# who may\n\nada:{ADA}\ngrace:{hashed}\n")
        assert read_users(str(file)) == {"ada": ADA, "grace": hashed}

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("", "names nobody"),
            ("# nobody\n", "names nobody"),
            ("ada:lovelace", "line 1: ada has no hash of argon2id or bcrypt, and plain passwords"),
            ("ada:", "ada has no hash"),
            ("ada", "ada has no hash"),
            (f"ada:{ADA}\nada:{ADA}", "line 2: ada is there twice"),
            (f":{ADA}", "a line is name:hash"),
            (f"a da:{ADA}", "a line is name:hash"),
            (f"ada:{ADA.replace('argon2id', 'argon2i')}", "ada has no hash"),
            ("ada:$2y$10$short", "ada has no hash"),
            ("ada:5f4dcc3b5aa765d61d8327deb882cf99", "ada has no hash"),
        ],
    )
    def test_what_is_wrong_is_told_in_one_line(self, tmp_path: Path, text: str, said: str) -> None:
        file = tmp_path / "users"
        file.write_text(text)
        with pytest.raises(ltq.ConfigurationError, match=re.escape(said)) as error:
            read_users(str(file))
        assert "\n" not in str(error.value)
        assert "lovelace" not in str(error.value)

    def test_a_file_that_is_not_there_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(ltq.ConfigurationError, match="cannot be read: No such file"):
            read_users(str(tmp_path / "nope"))

    @pytest.mark.parametrize("name", ["", "a b", "a:b", "a\nb", "x" * 101])
    def test_names_that_would_break_a_line_are_refused(self, name: str) -> None:
        with pytest.raises(ltq.ConfigurationError, match="name"):
            check_user_name(name)

    @pytest.mark.parametrize("password", ["", "x" * 1025])
    def test_passwords_that_are_none_are_refused(self, password: str) -> None:
        with pytest.raises(ltq.ConfigurationError, match="a password has"):
            hash_password(password)


class TestChangedFile:
    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        path = tmp_path / "users"
        path.write_text(f"ada:{ADA}\n")
        return path

    def test_it_is_read_again(self, file: Path) -> None:
        now = [0.0]
        users = UserFile(str(file), clock=lambda: now[0])
        file.write_text(f"ada:{ADA}\ngrace:{ADA}\n")
        assert list(users()) == ["ada"]  # it is looked at once a second
        now[0] = 1.0
        assert list(users()) == ["ada", "grace"]

    @pytest.mark.parametrize("text", ["", "ada:plain", None])
    def test_one_that_is_wrong_or_away_changes_nothing_and_is_told_once(
        self, file: Path, told: pytest.LogCaptureFixture, text: str | None
    ) -> None:
        now = [0.0]
        users = UserFile(str(file), clock=lambda: now[0])
        if text is None:
            file.unlink()
        else:
            file.write_text(text)
        for now[0] in (1.0, 2.0, 3.0):
            assert users() == {"ada": ADA}
        (said,) = [one.getMessage() for one in told.records]
        assert str(file) in said
        assert "plain:" not in said
        file.write_text(f"grace:{ADA}\n")
        now[0] = 4.0
        assert list(users()) == ["grace"]

    async def test_who_is_taken_out_or_gets_another_password_is_out(
        self, shop: ltq.Worker[Any]
    ) -> None:
        other = ADA.replace("R1055OZQx5GoH0RQfj51Yw", "R1055OZQx5GoH0RQfj51Yx")
        for changed in ({}, {"ada": other}):
            users = {"ada": ADA}
            gate = PasswordGate(Passwords(lambda known=users: known))  # type: ignore[misc]
            site = make_site([shop], read_only=False, redact=None)
            async with serve(make_app(site, gate)) as url, browse(url) as client:
                await sign_in(client)
                assert (await client.get("/")).url.path != "/login"
                basic = {"auth": ("ada", "lovelace"), "headers": {"cookie": ""}}
                assert (await client.get("/", **basic)).status_code == 200  # type: ignore[arg-type]
                users.clear()
                users |= changed
                assert (await client.get("/")).url.path == "/login"
                assert (await client.get("/", **basic)).status_code == 401  # type: ignore[arg-type]


class TestPasswords:
    async def test_only_the_right_one_of_a_known_name_is_right(self) -> None:
        grace = bcrypt.hashpw(b"hopper", bcrypt.gensalt(4)).decode()
        passwords = Passwords(lambda: {"ada": ADA, "grace": grace})
        assert await passwords.are_right("ada", "lovelace")
        assert await passwords.are_right("grace", "hopper")
        for name, password in (
            *(("ada", "hopper"), ("grace", "lovelace"), ("nobody", "lovelace"), ("", "")),
            *(("ada", "\ud800"), ("ada", "x" * 5000), ("grace", "h" * 100), ("ada", ADA)),
        ):
            assert not await passwords.are_right(name, password)

    async def test_who_guesses_has_to_wait(self) -> None:
        now = [0.0]
        grace = bcrypt.hashpw(b"hopper", bcrypt.gensalt(4)).decode()
        passwords = Passwords(lambda: {"grace": grace, "ada": ADA}, clock=lambda: now[0])
        for n in range(10):
            assert not await passwords.are_right("grace", f"guess {n}")
        with pytest.raises(TooManyWrongError):
            await passwords.are_right("grace", "hopper")
        assert await passwords.are_right("ada", "lovelace")  # others are not locked out
        now[0] = 61.0
        assert await passwords.are_right("grace", "hopper")

    async def test_guesses_at_the_same_moment_count_as_well(self) -> None:
        passwords = Passwords(lambda: {"ada": ADA})
        guesses = [passwords.are_right("ada", f"guess {n}") for n in range(100)]
        answers = await asyncio.gather(*guesses, return_exceptions=True)
        assert answers.count(False) == 10
        refused = [one for one in answers if isinstance(one, TooManyWrongError)]
        assert len(refused) == 90

    async def test_of_many_at_once_some_are_refused_unseen(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        looked_at: list[str] = []

        def verify(_: str, password: str) -> bool:
            looked_at.append(password)
            return False

        monkeypatch.setattr("ltq.web._door.passwords._verify", verify)
        passwords = Passwords(lambda: {"ada": ADA})
        guesses = [passwords.are_right(f"name {n}", f"guess {n}") for n in range(100)]
        answers = await asyncio.gather(*guesses, return_exceptions=True)
        assert (len(looked_at), answers.count(False)) == (20, 20)
        assert len([one for one in answers if isinstance(one, TooManyWrongError)]) == 80

    async def test_an_unknown_name_takes_as_long_as_a_known_one(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hashes: list[str] = []

        def verify(hashed: str, _: str) -> bool:
            hashes.append(hashed)
            return True

        monkeypatch.setattr("ltq.web._door.passwords._verify", verify)
        assert not await Passwords(lambda: {"ada": ADA}).are_right("nobody", "lovelace")
        assert [one.startswith("$argon2id$") for one in hashes] == [True]

    async def test_a_right_one_is_remembered_for_a_while_only(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now = [0.0]
        passwords = Passwords(lambda: {"ada": ADA}, clock=lambda: now[0])
        assert await passwords.are_right("ada", "lovelace")
        monkeypatch.setattr("ltq.web._door.passwords._verify", lambda *_: False)
        assert await passwords.are_right("ada", "lovelace")
        now[0] = 301.0
        assert not await passwords.are_right("ada", "lovelace")


@pytest.fixture
def clock() -> list[float]:
    return [0.0]


@pytest.fixture
async def client(
    shop: ltq.Worker[Any], clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[httpx.AsyncClient]:
    """A browser before a dashboard with passwords."""
    site = make_site([shop], read_only=False, redact=None)
    gate = PasswordGate(Passwords(lambda: {"ada": ADA}), clock=lambda: clock[0])
    async with serve(make_app(site, gate)) as url, browse(url) as client:
        yield client


async def sign_in(
    client: httpx.AsyncClient,
    password: str = "lovelace",
    next: str = "",  # noqa: A002  the field's name
) -> httpx.Response:
    return await client.post("/login", data={"name": "ada", "password": password, "next": next})


class TestSessions:
    async def test_a_browser_is_led_to_the_form_and_back(
        self, client: httpx.AsyncClient, shop: ltq.Worker[Any]
    ) -> None:
        key = shop.broker.url.rpartition("/")[2]
        asked = await client.get(f"/{key}/search?q=a b")
        assert asked.url.path == "/login"
        assert asked.url.params["next"] == f"/{key}/search?q=a%20b"
        back = await sign_in(client, next=asked.url.params["next"])
        assert (back.status_code, back.url.path) == (200, f"/{key}/search")
        assert back.url.params["q"] == "a b"
        assert ">ada</span>" in back.text

    async def test_the_cookie_is_for_the_server_alone(self, client: httpx.AsyncClient) -> None:
        data = {"name": "ada", "password": "lovelace"}
        answer = await client.post("/login", data=data, follow_redirects=False)
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=lax" in cookie
        assert "Secure" not in cookie  # it came over plain HTTP
        secure = await client.post(
            "/login",
            data=data,
            follow_redirects=False,
            headers={"origin": str(client.base_url).replace("http:", "https:").rstrip("/")},
        )
        assert "Secure" in secure.headers["set-cookie"]

    async def test_a_wrong_password_is_told_and_logged(
        self, client: httpx.AsyncClient, told: pytest.LogCaptureFixture
    ) -> None:
        answer = await sign_in(client, "wrong")
        assert answer.status_code == 403
        assert "do not belong together" in answer.text
        assert "ada could not sign in" in [one.getMessage() for one in told.records]

    async def test_who_guesses_has_to_wait_and_is_told(
        self, client: httpx.AsyncClient, told: pytest.LogCaptureFixture
    ) -> None:
        for n in range(10):
            assert (await sign_in(client, f"guess {n}")).status_code == 403
        answer = await sign_in(client)
        assert answer.status_code == 429
        assert "too many wrong passwords: a sign-in of ada was refused unread" in [
            one.getMessage() for one in told.records
        ]
        basic = await client.get("/", auth=("ada", "lovelace"))
        assert basic.status_code == 401 or basic.url.path == "/login"

    async def test_who_signs_out_is_out(self, client: httpx.AsyncClient) -> None:
        await sign_in(client)
        token = client.cookies["ltq_session"]
        assert (await client.post("/logout")).url.path == "/login"
        client.cookies.set("ltq_session", token)
        assert (await client.get("/")).url.path == "/login"

    async def test_a_session_ends(self, client: httpx.AsyncClient, clock: list[float]) -> None:
        await sign_in(client)
        assert (await client.get("/")).url.path != "/login"
        clock[0] = SESSION_SECONDS
        assert (await client.get("/")).url.path == "/login"

    async def test_signing_in_from_another_page_is_refused(self, client: httpx.AsyncClient) -> None:
        data = {"name": "ada", "password": "lovelace"}
        headers = {"sec-fetch-site": "cross-site"}
        answer = await client.post("/login", data=data, headers=headers)
        assert (answer.status_code, client.cookies.get("ltq_session")) == (403, None)

    @pytest.mark.parametrize(
        "next_path", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:1"]
    )
    async def test_it_leads_nowhere_else(self, client: httpx.AsyncClient, next_path: str) -> None:
        data = {"name": "ada", "password": "lovelace", "next": next_path}
        answer = await client.post("/login", data=data, follow_redirects=False)
        assert answer.headers["location"].startswith("./")
        assert not answer.headers["location"].startswith(".//")

    async def test_a_stream_without_a_session_is_refused_not_led(
        self, client: httpx.AsyncClient, shop: ltq.Worker[Any]
    ) -> None:
        key = shop.broker.url.rpartition("/")[2]
        assert (await client.get(f"/{key}/?live=1")).status_code == 401


class TestBasic:
    async def test_a_program_may_give_name_and_password(self, client: httpx.AsyncClient) -> None:
        answer = await client.get("/", auth=("ada", "lovelace"))
        assert answer.status_code == 200
        assert "set-cookie" not in answer.headers

    @pytest.mark.parametrize(
        "value",
        [
            *("Basic", "Basic !!", "Basic YWRh", "Basic YWRhOndyb25n", "Bearer x"),
            "Basic " + "A" * 9000,
        ],
    )
    async def test_a_wrong_one_is_asked_again(self, client: httpx.AsyncClient, value: str) -> None:
        answer = await client.get("/", headers={"authorization": value})
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Basic")

    async def test_a_wrong_one_is_in_the_log(
        self, client: httpx.AsyncClient, told: pytest.LogCaptureFixture
    ) -> None:
        await client.get("/", auth=("ada", "wrong"))
        assert "ada could not sign in" in told.messages

    async def test_a_program_without_any_is_asked(self, client: httpx.AsyncClient) -> None:
        answer = await client.get("/", headers={"accept": "*/*"})
        assert answer.status_code == 401
