"""Texts of strangers that try to be something else: arguments, errors, notes, addresses, forms."""

import json
from base64 import urlsafe_b64encode
from html.parser import HTMLParser
from urllib.parse import quote

import msgspec
import pytest

import ltq
from ltq.message import Envelope, Failure, Finish
from ltq.state import Status
from tests.web.boards import Board

HOSTILE = "</pre></script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&{{7*7}}\u202e"


class TestHostileTexts:
    async def hostile_task(self, board: Board) -> str:
        """A task of which all texts are hostile."""
        broker = board.broker
        envelope = Envelope(
            id="hostile", queue="shop:note", task_name="shop:note",
            body=msgspec.json.encode([[HOSTILE], {HOSTILE: HOSTILE}]),
        )  # fmt: skip
        await broker.publish([envelope])
        return "hostile"

    async def test_arguments_are_text(self, board: Board) -> None:
        task_id = await self.hostile_task(board)
        for path in (
            "/queues/shop:note",
            f"/queues/shop:note/tasks/{task_id}",
            "/search?q=alert",
        ):
            check_harmless(await board.page(path))
        # A form has to send back what it was filled with, so there it stands as it is.
        form = await board.page(f"/queues/shop:note/tasks/{task_id}/edit")
        check_harmless(form.replace("\u202e", ""))

    async def test_errors_tracebacks_and_notes_are_text(self, board: Board) -> None:
        await self.hostile_task(board)
        async with board.broker.consumer(["shop:note"]) as consumer:
            (delivery,) = await board.broker.claim(consumer, 1)
            progress = ltq.Progress(1, 2, HOSTILE)
            await board.broker.progress(delivery.lease, progress)
            for path in ("/workers", "/queues/shop:note", "/queues/shop:note/tasks/hostile"):
                check_harmless(await board.page(path))
            failure = Failure(HOSTILE, f"{HOSTILE}: {HOSTILE}", f"{HOSTILE}\n{HOSTILE}")
            ended = Finish(delivery.lease, Status.FAILED, failure=failure, dead=True)
            await board.broker.finish([ended])
        for path in ("/", "/dead", "/queues/shop:note", "/queues/shop:note/tasks/hostile"):
            check_harmless(await board.page(path))

    async def test_results_are_text(self, board: Board) -> None:
        async with board.worker:
            handle = await board.worker.tasks["shop:note"].send(HOSTILE)
            await handle.wait(timeout=5)
        check_harmless(await board.page(f"/queues/shop:note/tasks/{handle.id}"))

    async def test_addresses_are_text(self, board: Board) -> None:
        await board.worker.tasks["shop:note"].send("x")
        bad = quote(HOSTILE.replace("\x00", ""), safe="")
        for path in (
            f"/?find={bad}", f"/queues/{bad}", f"/queues/shop:note/tasks/{bad}",
            f"/dead?fault={bad}&task={bad}", f"/search?q={bad}", f"/queues/shop:note?status={bad}",
        ):  # fmt: skip
            answer = await board.client.get(f"/{board.key}{path}")
            assert answer.status_code in (200, 404)
            check_harmless(answer.text)

    async def test_a_note_of_somebody_else_is_text_or_nothing(self, board: Board) -> None:
        texts = (
            json.dumps([HOSTILE, True]),
            "[" * 3000,
            '["\\ud800", true]',
            "\xff",
            "7",
            "{}",
            "",
        )
        for text in texts:
            cookie = urlsafe_b64encode(text.encode("latin-1", "replace")).decode()
            headers = {"cookie": f"ltq_note={cookie}"}
            answer = await board.client.get(f"/{board.key}/", headers=headers)
            assert answer.status_code == 200, text
            check_harmless(answer.text)

    async def test_the_log_has_one_line_for_each_action(
        self, board: Board, told: pytest.LogCaptureFixture
    ) -> None:
        await board.post("/schedules/no%0A%1b[31msuch/pause")
        (line,) = [one.getMessage() for one in told.records]
        assert "no\\n\\x1b[31msuch" in line

    async def test_what_nobody_sees_is_shown(self, board: Board) -> None:
        await board.worker.tasks["shop:note"].send("right\u202eleft\u200b")
        page = await board.page("/queues/shop:note")
        assert "right\\u202eleft\\u200b" in page


BODIES = [
    b"[[", b"\xff\xfe", b"[" * 100_000, b"null", b"{}", b"[[],[]]", b"[[1],{}] ",
    b'[["\\ud800\\u0000"],{}]', b"[[1e999],{}]", b"[[" + b"9" * 5000 + b"],{}]",
    b'[["' + b"x" * 1_000_000 + b'"],{}]', b'[[],{"text":"a","text":"b","level":{}}]',
]  # fmt: skip
"""What stands where arguments should."""


class TestBodies:
    @pytest.mark.slow
    @pytest.mark.parametrize("serializer", ["json", "msgpack", "of-another"])
    async def test_whatever_was_sent_is_shown_and_can_be_edited(
        self, board: Board, serializer: str
    ) -> None:
        envelopes = [
            Envelope(
                id=f"id-{number}", queue="shop:note", task_name="shop:note",
                body=body, serializer=serializer,
            )
            for number, body in enumerate(BODIES)
        ]  # fmt: skip
        await board.broker.publish(envelopes)
        for path in ("/queues/shop:note", "/search?q=needle"):
            check_harmless(await board.page(path))
        for one in envelopes:
            at = f"/queues/shop:note/tasks/{one.id}"
            assert len(await board.page(at)) < 100_000  # what is long is cut
            await board.page(f"{at}/edit")
            answer = await board.post(f"{at}/send", **{"arg-text": HOSTILE, "arg-level": "low"})
            assert answer.status_code == 200


class TestAddresses:
    @pytest.mark.parametrize(
        ("path", "status"),
        [
            *((f"/queues/shop:note?cursor={one}", 400) for one in ("abc", "%00", "A" * 4000)),
            *((f"/queues/shop:note?{one}=%00%ff", 400) for one in ("task", "tag")),
            *((f"/?page={one}", 200) for one in ("-1", "9" * 20, "%C2%B2", "%D9%A3")),
            *((f"/dead?offset={one}", 200) for one in ("-1", "9" * 20, "%C2%B2")),
            *((f"/{one}=%ff%00%F0%9F%92%A9", 200) for one in ("?find", "search?q", "dead?fault")),
            *((f"/queues/{one}", 404) for one in ("%00", "%ff", "..%2f..", "x" * 2000)),
            *((f"/queues/shop:note/tasks/{one}", 404) for one in ("%00", "a%2fb", "%2e%2e")),
            (f"/?{'a=b&' * 2000}", 200),
        ],
    )  # fmt: skip
    async def test_what_nobody_would_type_is_answered(
        self, board: Board, path: str, status: int
    ) -> None:
        await board.worker.tasks["shop:note"].send("x")
        check_harmless(await board.page(path, status))

    @pytest.mark.parametrize(
        "body", [b"", b"\x00" * 99, b"a=b&" * 9999, b"--x\r\n" * 99, b"name=%ff"]
    )
    @pytest.mark.parametrize(
        "kind", ["application/x-www-form-urlencoded", "multipart/form-data",
                 "multipart/form-data; boundary=x", "application/json", ""],
    )  # fmt: skip
    async def test_forms_that_are_none_change_nothing(
        self, board: Board, body: bytes, kind: str
    ) -> None:
        await board.worker.tasks["shop:note"].send("x")
        for path in ("/queues/shop:note/clear", "/dead/do"):
            answer = await board.client.post(
                f"/{board.key}{path}", content=body, headers={"content-type": kind}
            )
            assert answer.status_code in (200, 400), answer.text
        assert (await board.broker.stats(["shop:note"]))[0].pending == 1


def check_harmless(page: str) -> None:
    """Nothing of `HOSTILE` is markup."""
    assert "\u202e" not in page
    _Harmless().feed(page)


class _Harmless(HTMLParser):
    """Reads a page as a browser does."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        assert tag != "img"
        assert tag != "script" or (given.get("src") or "").startswith("../")
        assert not [name for name in given if name.startswith("on") or name == "style"]
        for name in ("href", "src", "action"):
            value = given.get(name) or "./"
            assert value.startswith(("../", "./", "?", "#")), value
