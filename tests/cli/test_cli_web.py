"""`ltq web`: what it serves, to whom, and what wrong use gets."""

import re
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from tests.cli.calls import call_ltq
from tests.cli.processes import Running, ltq_on_terminal, start_ltq

WORKER = """
import ltq
worker = ltq.Worker("shop", broker_url="sqlite:///jobs.db")

@worker.task
async def add(a: int, b: int = 2) -> int:
    return a + b
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a worker in `jobs.py`."""
    (tmp_path / "jobs.py").write_text(WORKER)
    return tmp_path


@asynccontextmanager
async def serve(folder: Path, *arguments: str) -> AsyncIterator[tuple[Running, str]]:
    """The command, and the URL that it says."""
    async with start_ltq("web", *arguments, "--port", "0", cwd=folder) as running:
        line = await running.err_line("the dashboard is at")
        yield running, line.rpartition(" ")[2].strip()


def browser() -> httpx.AsyncClient:
    return httpx.AsyncClient(
        headers={"accept": "text/html", "sec-fetch-site": "same-origin"},
        trust_env=False,
        timeout=20,
        follow_redirects=True,
    )


class TestWrongUse:
    @pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.1", "example.org"])
    async def test_others_get_in_only_if_it_is_said_who(self, host: str) -> None:
        done = await call_ltq("web", "--host", host)
        assert (done.code, done.out) == (2, "")
        assert done.err == (
            f"ltq: --host {host} lets others in: --auth FILE says who, --insecure lets everybody\n"
        )

    async def test_a_plain_password_is_refused_and_not_shown(self, tmp_path: Path) -> None:
        file = tmp_path / "users"
        file.write_text("ada:lovelace\n")
        done = await call_ltq("web", "--auth", str(file))
        assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
        assert "plain passwords are refused" in done.err
        assert "lovelace" not in done.err

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (("--auth", "/nope/users"), "--auth /nope/users cannot be read: No such file"),
            (("--auth", "x", "--insecure"), "--auth and --insecure cannot be combined"),
            (("--prefix", "ops"), "--prefix 'ops' is not allowed"),
            (("--prefix", "/"), "--prefix '/' is not allowed"),
            (("--host", ""), "--host '' lets others in"),
            (("--prefix", "//evil"), "--prefix '//evil' is not allowed"),
            (("nope://x",), "has no known scheme"),
            (("@nope",), "there is no broker @nope"),
            (("jobs",), "'jobs' is not of the form MODULE:NAME"),
            (("jobs:add",), "jobs:add is not an ltq.Worker or ltq.App"),
            (("jobs:nope",), "there is no 'nope' in module jobs: did you mean jobs:worker?"),
        ],
    )
    async def test_it_is_one_line(
        self, folder: Path, arguments: tuple[str, ...], said: str
    ) -> None:
        done = await call_ltq("web", *arguments, cwd=folder)
        assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
        assert said in done.err

    async def test_a_port_that_is_taken_is_one_line(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = str(taken.getsockname()[1])
            done = await call_ltq("web", "sqlite:///jobs.db", "--port", port, cwd=folder)
        assert done.code == 1
        assert f"cannot serve web on 127.0.0.1:{port}: taken by another process" in done.err
        assert "Traceback" not in done.err


@pytest.mark.slow
@pytest.mark.parametrize("package", ["starlette", "jinja2", "uvicorn", "argon2"])
def test_without_its_extra_it_says_what_to_install(package: str) -> None:
    script = f"import sys; sys.modules[{package!r}] = None\nfrom ltq.cli import main; main(['web'])"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr == f"ltq: ltq web needs {package}: pip install 'ltq[web]'\n"


class TestHashPassword:
    async def test_it_prints_a_line_that_auth_takes(self, tmp_path: Path) -> None:
        import asyncio

        from click.testing import CliRunner

        from ltq.cli import main
        from ltq.web._door.users import read_users

        done = await asyncio.to_thread(
            CliRunner().invoke, main, ["web", "--hash-password"], input="ada\nlovelace\n"
        )
        assert done.exit_code == 0, done.output
        file = tmp_path / "users"
        file.write_text(done.stdout)
        assert re.fullmatch(r"ada:\$argon2id\$\S+\n", done.stdout)
        assert list(read_users(str(file))) == ["ada"]

    @pytest.mark.slow
    async def test_on_a_terminal_it_asks_twice_and_shows_no_password(self) -> None:
        async with ltq_on_terminal("web", "--hash-password") as terminal:
            for asked, typed in (
                ("Name:", "ada"),
                ("Password:", "lovelace"),
                ("confirmation:", "lovelace"),
            ):
                await terminal.until(asked)
                terminal.type(f"{typed}\n")
            assert await terminal.end() == 0
        assert "ada:$argon2id$" in terminal.text
        assert "lovelace" not in terminal.text

    @pytest.mark.parametrize("text", ["a b\nx\n", "ada\n\n", ""])
    async def test_what_is_no_name_or_no_password_is_told(self, text: str) -> None:
        import asyncio

        from click.testing import CliRunner

        from ltq.cli import main

        done = await asyncio.to_thread(
            CliRunner().invoke, main, ["web", "--hash-password"], input=text
        )
        assert (done.exit_code, done.stdout) == (2, "")


@pytest.mark.slow
class TestServing:
    async def test_this_machine_may_look_and_act(self, folder: Path) -> None:
        async with serve(folder, "jobs:worker") as (running, url), browser() as client:
            assert "There are no queues yet" in (await client.get(url)).text
            refused = await client.get(url, headers={"host": "evil.example"})
            assert refused.status_code == 421
            answer = await client.post(f"{url}jobs/schedules/nope/pause")
            assert "there is no schedule" in answer.text
            running.process.terminate()
            done = await running.end()
        assert (done.code, "Traceback" in done.err) == (0, False)

    async def test_a_password_lets_in_by_any_name(self, folder: Path) -> None:
        from tests.web.test_web_passwords import ADA

        (folder / "users").write_text(f"ada:{ADA}\n")
        async with serve(folder, "jobs:worker", "--auth", "users") as (_, url), browser() as client:
            assert (await client.get(url)).url.path == "/login"
            answer = await client.get(
                url, auth=("ada", "lovelace"), headers={"host": "ltq.example"}
            )
            assert answer.status_code == 200

    async def test_read_only_and_a_prefix_hold(self, folder: Path) -> None:
        arguments = ("sqlite:///jobs.db", "--read-only", "--prefix", "/ops/ltq/")
        async with serve(folder, *arguments) as (_, url), browser() as client:
            assert url.endswith("/ops/ltq/")
            assert "read only" in (await client.get(url)).text
            refused = await client.post(f"{url}jobs/dead/do")
            assert refused.status_code == 403

    async def test_a_signal_ends_streams_and_the_process(self, folder: Path) -> None:
        async with serve(folder, "jobs:worker") as (running, url), browser() as client:
            async with client.stream("GET", f"{url}jobs/?live=1") as stream:
                lines = stream.aiter_lines()
                assert (await anext(lines)).startswith("data: ")
                running.process.terminate()
                async for _ in lines:
                    pass
            done = await running.end()
        assert (done.code, "Traceback" in done.err) == (0, False)

    async def test_a_broker_that_is_away_is_a_page(self, tmp_path: Path) -> None:
        url_of_none = "redis://127.0.0.1:1"
        async with serve(tmp_path, url_of_none) as (_, url), browser() as client:
            answer = await client.get(url)
            assert answer.status_code == 503
            assert "The broker does not answer" in answer.text
