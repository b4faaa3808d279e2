"""The files in `sql/`: each is one function or type with a header, and names what there is."""

import re
from hashlib import sha256

from ltq.brokers.postgres._schema import migrate, texts
from ltq.brokers.postgres._schema.names import Schema
from tests.for_each import for_each

HEADER = re.compile(r"((?:--(?: .*)?\n)+)(CREATE (?:FUNCTION|TYPE) .*)", re.DOTALL)
FILES = sorted(path.stem for path in texts.FOLDER.glob("*.sql"))
MADE = [name for name in FILES if name != texts.TABLES]
DIGESTS = {1: "732325752ccdd059"}
"""By version of the schema: what the files say, with their constants and without comments."""

CHANGED = """\
What sql/ makes has changed, so schemas that are there lack it: `ltq migrate` only does something
where the version is another one. If version {version} was in a release of LTQ:
  1. raise VERSION in ltq/brokers/postgres/_schema/migrate.py;
  2. write what changes the tables into a file in sql/, and name it in _UPGRADES there. Functions
     are replaced anyway; workers of the version before have to go on with them;
  3. add the new version to DIGESTS here: {digest}
Else put this digest in the place of that of version {version}, and make your own schemas anew."""

LONGEST = 120
WIDEST = 110

files = for_each("name", MADE)


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


@for_each("name", FILES)
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


def test_a_change_has_a_version_of_its_own() -> None:
    made = "".join(texts.statement(name, Schema("ltq")) for name in FILES)
    bare = " ".join(re.sub(r"--.*", "", made).split())
    digest = sha256(bare.encode()).hexdigest()[:16]
    assert DIGESTS.get(migrate.VERSION) == digest, CHANGED.format(
        version=migrate.VERSION, digest=digest
    )
