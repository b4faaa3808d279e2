# What a scheduler needs of croniter 6 and 7, which ship no types.

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Self, TypeVar, overload

__all__ = [
    "CroniterBadCronError",
    "CroniterBadDateError",
    "CroniterError",
    "CroniterNotAlphaError",
    "CroniterUnsupportedSyntaxError",
    "croniter",
]

_Moment = TypeVar("_Moment", float, datetime)

class CroniterError(ValueError): ...
class CroniterBadCronError(CroniterError): ...
class CroniterUnsupportedSyntaxError(CroniterBadCronError): ...
class CroniterBadDateError(CroniterError): ...
class CroniterNotAlphaError(CroniterBadCronError): ...

class croniter:  # noqa: N801  its name
    expanded: list[list[int | str]]
    """The values of each field, `["*"]` for all: minute, hour, day, month, day of the week, ..."""

    def __init__(
        self,
        expr_format: str,
        start_time: datetime | float | None = None,
        ret_type: type[float | datetime] = ...,
        day_or: bool = True,
        max_years_between_matches: int | None = None,
        is_prev: bool = False,
        hash_id: bytes | str | None = None,
        implement_cron_bug: bool = False,
        second_at_beginning: bool = False,
        expand_from_start_time: bool = False,
    ) -> None: ...

    # Without a `ret_type` of the call, what comes is of the `ret_type` given to `croniter(...)`.
    @overload
    def get_next(
        self,
        ret_type: type[_Moment],
        start_time: datetime | float | None = None,
        update_current: bool = True,
    ) -> _Moment: ...
    @overload
    def get_next(
        self,
        ret_type: None = None,
        start_time: datetime | float | None = None,
        update_current: bool = True,
    ) -> float | datetime: ...
    @overload
    def get_prev(
        self,
        ret_type: type[_Moment],
        start_time: datetime | float | None = None,
        update_current: bool = True,
    ) -> _Moment: ...
    @overload
    def get_prev(
        self,
        ret_type: None = None,
        start_time: datetime | float | None = None,
        update_current: bool = True,
    ) -> float | datetime: ...
    @overload
    def get_current(self, ret_type: type[_Moment]) -> _Moment: ...
    @overload
    def get_current(self, ret_type: None = None) -> float | datetime: ...
    def set_current(self, start_time: datetime | float | None, force: bool = True) -> float: ...
    @overload
    def all_next(
        self,
        ret_type: type[_Moment],
        start_time: datetime | float | None = None,
        update_current: bool | None = None,
    ) -> Iterator[_Moment]: ...
    @overload
    def all_next(
        self,
        ret_type: None = None,
        start_time: datetime | float | None = None,
        update_current: bool | None = None,
    ) -> Iterator[float | datetime]: ...
    def __iter__(self) -> Self: ...
    def __next__(
        self,
        ret_type: Any = None,
        start_time: datetime | float | None = None,
        is_prev: bool | None = None,
        update_current: bool | None = None,
    ) -> float | datetime: ...
    @classmethod
    def is_valid(
        cls,
        expression: str,
        hash_id: bytes | str | None = None,
        encoding: str = "UTF-8",
        second_at_beginning: bool = False,
        strict: bool = False,
        strict_year: int | list[int] | None = None,
    ) -> bool: ...
    @classmethod
    def match(
        cls,
        cron_expression: str,
        testdate: datetime,
        day_or: bool = True,
        second_at_beginning: bool = False,
        precision_in_seconds: float | None = None,
    ) -> bool: ...
