"""Reading `postgresql://` URLs, and what is said of those that cannot be read."""

import pytest

import ltq
from ltq.brokers.postgres import PostgresBroker


def said_of(url: str) -> str:
    with pytest.raises(ltq.ConfigurationError) as caught:
        PostgresBroker(url)
    return str(caught.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://host/app", "postgresql://host/app"),
        ("postgresql://me:pass@host:5433/app", "postgresql://host:5433/app"),
        ("postgresql://me:p%40s%2Fs%25@host/app", "postgresql://host/app"),
        ("postgresql://me:p#ss@host/app", "postgresql://host/app"),
        ("postgresql:///app", "postgresql:///app"),
        ("postgresql://me@a,b:5433/app?target_session_attrs=any", "postgresql://a,b:5433/app"),
        ("postgresql://host/app?schema=jobs&sslmode=require", "postgresql://host/app?schema=jobs"),
    ],
)
def test_a_url_is_shown_without_secrets(url: str, shown: str) -> None:
    assert PostgresBroker(url).url == shown


@pytest.mark.parametrize(
    "password", ["pa?secret", "pa?se=secret&se=1", "pa/secret", "pa@secret", "secret%zz"]
)
def test_a_password_that_is_not_quoted_is_not_told(password: str) -> None:
    said = said_of(f"postgresql://me:{password}@host/app")
    assert "secret" not in said
    assert "pa" not in said.replace("password", "")
    assert "@ is written %40, / is %2F, ? is %3F and % is %25" in said


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("sslmode=disable&sslmode=require", "the parameter 'sslmode' is given twice"),
        ("schema=a&schema=b", "the parameter 'schema' is given twice"),
        ("shema=a", '"shema"; LTQ\'s own parameters are schema, migrate, history, list_final'),
        ("schema=", "schema='' is not allowed"),
        ("schema=no-name", "schema='no-name' is not allowed"),
        ("schema=1st", "schema='1st' is not allowed: 1 to 63 of the characters"),
        ("schema=pg_jobs", "schema='pg_jobs' is not allowed"),
        ("migrate=yes", "migrate='yes' is not allowed: auto or manual"),
        ("history=2", "history='2' is not allowed"),
    ],
)
def test_a_wrong_parameter_is_named(query: str, said: str) -> None:
    assert said in said_of(f"postgresql://me:secret@host/app?{query}")
    assert "secret" not in said_of(f"postgresql://me:secret@host/app?{query}")


async def test_parameters_reach_libpq_as_they_are(postgres_url: str) -> None:
    given = "application_name=the%20shop%2B&options=-c%20work_mem%3D5MB"
    async with PostgresBroker(f"{postgres_url}&{given}") as broker:
        asked = "SELECT current_setting('application_name'), current_setting('work_mem')"
        assert await broker._here().link.query(asked) == [("the shop+", "5MB")]
