"""The check of a report for tests that were skipped."""

from pathlib import Path

from devtools.skips import skipped, unwanted

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
    assert unwanted(found, has_server=True) == told


def test_tls_may_be_missing_in_the_wheels_server_only() -> None:
    found = {"test_tls": "this redis-server was built without TLS"}
    assert unwanted(found, has_server=False) == []
    assert len(unwanted(found, has_server=True)) == 1
