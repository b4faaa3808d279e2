"""The check of a report for tests that were skipped."""

from pathlib import Path

import pytest

from devtools.skips import FIND, WITHOUT, skipped, unwanted

REPORT = """<testsuites><testsuite>
<testcase classname="tests.test_a" name="test_runs"/>
<testcase classname="tests.test_a" name="test_needs_a_server">
  <skipped type="pytest.skip" message="no redis-server">somewhere</skipped></testcase>
<testcase classname="tests.test_a" name="test_browser">
  <skipped type="pytest.skip" message="no chromium on PATH">somewhere</skipped></testcase>
<testcase classname="tests.test_a" name="test_limit">
  <skipped type="pytest.xfail" message="a known limit"/></testcase>
</testsuite></testsuites>"""


def test_what_was_skipped_without_a_good_reason_is_told(tmp_path: Path) -> None:
    report = tmp_path / "tests.xml"
    report.write_text(REPORT)
    found = skipped(report)
    assert len(found) == 2
    told = ["tests.test_a::test_needs_a_server: no redis-server"]
    assert unwanted(found, ["Chromium"]) == told


@pytest.mark.parametrize(
    ("program", "says"),
    [
        ("redis-server", "this redis-server was built without TLS"),
        ("Chromium", "no chromium on PATH"),
        ("pgbouncer", "no pgbouncer here"),
    ],
)
def test_what_needs_a_program_may_be_skipped_only_without_it(program: str, says: str) -> None:
    found = {"test_needs_it": says}
    assert unwanted(found, [program]) == []
    assert unwanted(found, {*WITHOUT} - {program}) == [f"test_needs_it: {says}"]


def test_without_postgresql_a_broker_would_be_untested() -> None:
    found = {"test_claims": "no LTQ_TEST_POSTGRES_URL, and no PostgreSQL here"}
    assert len(unwanted(found, {*WITHOUT})) == 1


def test_each_program_that_may_be_missing_is_looked_for() -> None:
    assert {*FIND} == {*WITHOUT}
