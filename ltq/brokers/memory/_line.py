"""Records in an order, of which any part can be read at once."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from itertools import islice

from ltq.brokers._rules.places import Spot, Spotted
from ltq.brokers._rules.record import Record

_MOST_SPOTS = 512
"""Most spots of a piece: a new one moves those behind it, but no other piece."""


class Line:
    """Records in the order of their spots. No two have the same spot."""

    def __init__(self) -> None:
        self._pieces: list[list[Spot]] = []
        """All spots in their order. No piece is empty."""
        self._records: dict[Spot, Record] = {}
        self._spots: dict[str, Spot] = {}

    def __len__(self) -> int:
        return len(self._spots)

    def add(self, record: Record, spot: Spot) -> None:
        """Add a record that is not there."""
        self._records[spot] = record
        self._spots[record.envelope.id] = spot
        pieces = self._pieces
        if pieces and spot < pieces[-1][-1]:
            index = self._index(spot)
            piece = pieces[index]
            insort(piece, spot)
            if len(piece) > _MOST_SPOTS:
                pieces[index : index + 1] = [piece[: _MOST_SPOTS // 2], piece[_MOST_SPOTS // 2 :]]
        elif pieces and len(pieces[-1]) < _MOST_SPOTS:
            pieces[-1].append(spot)
        else:
            pieces.append([spot])

    def discard(self, record: Record) -> None:
        """Remove a record, if it is there."""
        spot = self._spots.pop(record.envelope.id, None)
        if spot is None:
            return
        del self._records[spot]
        index = self._index(spot)
        piece = self._pieces[index]
        del piece[bisect_left(piece, spot)]
        if not piece:
            del self._pieces[index]

    def spot(self, record: Record) -> Spot:
        """Where a record is. It has to be there."""
        return self._spots[record.id]

    def read(self, after: Spot | None, limit: int) -> list[Spotted]:
        """Up to `limit` records behind a spot, or the first ones."""
        return [(spot, self._records[spot]) for spot in islice(self._behind(after), limit)]

    def nth(self, number: int) -> Spot | None:
        """The spot behind this many others, or None if there are no more."""
        for piece in self._pieces:
            if number < len(piece):
                return piece[number]
            number -= len(piece)
        return None

    def first(self, limit: int) -> list[Record]:
        """Up to `limit` records, the first ones."""
        return [self._records[spot] for spot in islice(self._behind(None), limit)]

    def _index(self, spot: Spot) -> int:
        """The piece that a spot belongs to, unless it is behind all: mostly the first one."""
        if spot <= self._pieces[0][-1]:
            return 0
        return bisect_left(self._pieces, spot, key=_last)

    def _behind(self, after: Spot | None) -> Iterator[Spot]:
        pieces, index, start = self._pieces, 0, 0
        if after is not None:
            index = bisect_left(pieces, after, key=_last)
            start = bisect_right(pieces[index], after) if index < len(pieces) else 0
        while index < len(pieces):
            yield from islice(pieces[index], start, None)
            index, start = index + 1, 0


def _last(piece: list[Spot]) -> Spot:
    return piece[-1]
