"""The files in `sql/`: each is one function or type with a header, and names what there is."""

import re

import pytest

from ltq.brokers.postgres._schema import texts
from ltq.brokers.postgres._schema.names import Schema

HEADER = re.compile(r"((?:--(?: .*)?\n)+)(CREATE (?:FUNCTION|TYPE) .*)", re.DOTALL)
FILES = sorted(path.stem for path in texts.FOLDER.glob("*.sql"))
MADE = [name for name in FILES if name != texts.TABLES]
LONGEST = 120
WIDEST = 110

files = pytest.mark.parametrize("name", MADE)


def split(name: str) -> tuple[str, str]:
    """A file's header and its statement."""
    match = HEADER.fullmatch(texts.text_of(name))
    assert match is not None, "it begins with a header"
    return match[1], match[2]


@files
def test_a_file_is_one_statement_of_its_own_name(name: str) -> None:
    header, statement = split(name)
    (made,) = re.findall(r"^CREATE (?:FUNCTION|TYPE) @schema@\.(\w+)", statement, re.MULTILINE)
    assert header.startswith(f"-- {made}: ")
    assert name.lstrip("_") == made or name == "_figures"


@files
def test_its_header_names_each_parameter_and_what_it_returns(name: str) -> None:
    header, statement = split(name)
    signature = re.sub(r" DEFAULT [^,]+", "", statement.partition(")")[0])
    words = re.findall(r"\b(?:OUT )?(\w+) [\w@.]+(?:\[\])?(?:,|\s*$)", signature.partition("(")[2])
    named = " ".join(re.findall(r"^-- (.*)", header, re.MULTILINE))
    if "..." not in named:
        assert [word for word in words if word not in named] == []
    assert "RETURNS" in named or " OUT " in statement or "CREATE TYPE" in statement


@pytest.mark.parametrize("name", FILES)
def test_it_is_not_long(name: str) -> None:
    lines = texts.text_of(name).splitlines()
    assert len(lines) <= LONGEST
    assert max(map(len, lines)) <= WIDEST


@files
def test_what_it_calls_is_there(name: str) -> None:
    _, statement = split(name)
    called = set(re.findall(r"@schema@\.(\w+)\(", statement))
    made = {re.findall(r"@schema@\.(\w+)", split(one)[1])[0] for one in MADE}
    tables = set(re.findall(r"TABLE @schema@\.(\w+)", texts.text_of(texts.TABLES)))
    assert called - made - tables == set()


@files
def test_its_constants_are_there(name: str) -> None:
    assert "@" not in texts.statement(name, Schema("mine"))


def test_each_constant_is_used() -> None:
    used = {word for name in FILES for word in re.findall(r"@([A-Z_]+)@", texts.text_of(name))}
    assert used == {*texts.CONSTANTS}
