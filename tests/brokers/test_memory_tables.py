"""The tables of the memory broker."""

from ltq.brokers.memory._tables import SLACK, MemoryChanges, MemoryTable


def test_a_table_drops_what_has_expired_once_it_has_grown() -> None:
    table: MemoryTable[int] = MemoryTable()
    for number in range(SLACK + 1):
        table.set(str(number), number, expires=1.0, now=0.0)
    assert len(table._entries) == SLACK + 1
    for number in range(2 * SLACK + 2):  # it looks again at twice what was left
        table.set(f"later {number}", number, expires=9.0, now=2.0)
    assert table.get("1", 2.0) is None
    assert table.get("later 1", 2.0) == 1
    assert all(key.startswith("later") for key in table._entries)


def test_of_very_many_names_that_are_gone_the_first_are_forgotten() -> None:
    changes = MemoryChanges()
    changes.note("here", is_gone=False, most_gone=2)
    for name in ("a", "b", "c"):
        changes.note(name, is_gone=True, most_gone=2)
    assert [(one.name, one.is_gone) for one in changes.after(0, 10)] == [
        ("here", False),
        ("b", True),
        ("c", True),
    ]
