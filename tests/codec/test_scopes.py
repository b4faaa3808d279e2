"""Where the names in annotations are looked up: around the function, not around `worker.task`."""

import dataclasses
import functools
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

import ltq
from ltq import testing
from ltq._declared import DeclaredTask


@dataclasses.dataclass
class Config:
    """Another one than that of `logic`."""

    path: str


LOGIC = """
from __future__ import annotations
import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nowhere import Missing

@dataclass
class Config:
    path: str

@dataclass
class Nested:
    config: Config

async def load(config: Config) -> Config:
    assert type(config) is Config
    return config

async def nested(config: Nested) -> Config:
    return config.config

async def many(*config: Config, **others: list[Config]) -> Config:
    return config[0]

def wrap(fn):
    @functools.wraps(fn)
    async def inner(*args, **kwargs):
        return await fn(*args, **kwargs)
    return inner

class Service:
    @dataclass
    class Config:
        path: str

    async def load(self, config: Config) -> Config:
        assert type(config) is Service.Config
        return config

    async def __call__(self, config: Config) -> Config:
        return config

    @staticmethod
    async def static(config: Config) -> Config:
        return config

    def list(self) -> list[int]:
        return []

    def numbers(self, numbers: list[int]) -> list[int]:
        return numbers

def closed(path: str):
    @dataclass
    class Config:
        path: str
    async def load(config: Config) -> Config:
        assert type(config) is Config
        return config
    return load, Config

async def missing(value: Missing) -> None: ...
"""


@pytest.fixture
def logic(monkeypatch: pytest.MonkeyPatch) -> Any:
    module = ModuleType("case_logic")
    monkeypatch.setitem(sys.modules, "case_logic", module)
    exec(compile(LOGIC, "case_logic.py", "exec"), module.__dict__)
    return module


@pytest.fixture
def worker() -> ltq.Worker:
    return ltq.Worker("scopes", broker_url="memory://scopes")


async def kind_of_result(worker: ltq.Worker, task: Any, *args: Any) -> type:
    """The type of a task's result; its arguments were sent as they are."""
    with testing.use(worker) as box:
        handle = await task.send(*args)
        await box.drain(check=True)
        return type(await handle.result())


class TestOtherModule:
    @pytest.mark.parametrize("name", ["load", "many"])
    async def test_names_are_those_of_the_function(
        self, worker: ltq.Worker, logic: Any, name: str
    ) -> None:
        task = worker.task(getattr(logic, name))
        assert await kind_of_result(worker, task, logic.Config("a")) is logic.Config
        (read,), _ = DeclaredTask.of(task).codec.read_call([{"path": "a"}], {})
        assert type(read) is logic.Config
        with pytest.raises(ltq.InvalidArgumentsError, match="Config"):
            task.message(Config("a"))

    async def test_a_local_class_of_the_caller_does_not_count(
        self, worker: ltq.Worker, logic: Any
    ) -> None:
        @dataclasses.dataclass
        class Config:
            path: str

        task = worker.task(logic.load)
        assert await kind_of_result(worker, task, logic.Config("a")) is logic.Config

    async def test_nor_does_it_within_a_class_of_the_function(
        self, worker: ltq.Worker, logic: Any
    ) -> None:
        task = worker.task(logic.nested)
        value = logic.Nested(logic.Config("a"))
        assert await kind_of_result(worker, task, value) is logic.Config

    @pytest.mark.parametrize("wrap", ["theirs", "mine", "partial"])
    async def test_a_wrapped_function_keeps_its_names(
        self, worker: ltq.Worker, logic: Any, wrap: str
    ) -> None:
        def mine(fn: Callable[..., Any]) -> Callable[..., Any]:
            @functools.wraps(fn)
            def inner(*args: Any) -> Any:
                return fn(*args)

            return inner

        wrappers = {"theirs": logic.wrap, "mine": mine, "partial": functools.partial}
        task = worker.task(wrappers[wrap](logic.load))
        assert await kind_of_result(worker, task, logic.Config("a")) is logic.Config

    @pytest.mark.parametrize("name", ["method", "object", "static", "partial"])
    async def test_a_method_means_the_classes_of_its_class_first(
        self, worker: ltq.Worker, logic: Any, name: str
    ) -> None:
        service = logic.Service()
        functions = {
            "method": service.load,
            "object": service,
            "static": logic.Service.static,
            "partial": functools.partial(logic.Service.load, service),
        }
        task = worker.task(name="one")(functions[name])
        value = logic.Service.Config("a")
        assert await kind_of_result(worker, task, value) is logic.Service.Config

    async def test_a_method_named_like_a_type_is_not_meant(
        self, worker: ltq.Worker, logic: Any
    ) -> None:
        task = worker.task(logic.Service().numbers)
        assert await kind_of_result(worker, task, [1]) is list

    async def test_a_function_made_by_another_means_the_classes_it_closes_over(
        self, worker: ltq.Worker, logic: Any
    ) -> None:
        load, local = logic.closed("a")
        assert await kind_of_result(worker, worker.task(load), local("a")) is local

    def test_a_name_for_type_checkers_only_is_one_clear_error(
        self, worker: ltq.Worker, logic: Any
    ) -> None:
        task = worker.task(logic.missing)
        text = (
            "scopes:missing: an annotation cannot be resolved: name 'Missing' is not defined; def"
        )
        with pytest.raises(ltq.ConfigurationError, match=text):
            task.message(1)


class TestFunctions:
    async def test_local_classes_are_found_however_the_task_is_declared(
        self, worker: ltq.Worker
    ) -> None:
        @dataclasses.dataclass
        class Local:
            path: str

        def declare(fn: Callable[..., Any]) -> ltq.Task[..., Any]:
            task: ltq.Task[..., Any] = worker.task(name=f"{fn.__name__}-2")(fn)
            return task

        @worker.task
        async def load(local: "Local") -> "Local":
            return local

        async def other(local: "Local") -> "Local":
            return local

        for task in (load, worker.task(other), declare(other)):
            assert await kind_of_result(worker, task, Local("a")) is Local

    async def test_those_of_functions_around_are_found_too(self, worker: ltq.Worker) -> None:
        @dataclasses.dataclass
        class Outer:
            path: str

        def setup() -> ltq.Task[..., Any]:
            @worker.task
            async def load(outer: "Outer") -> "Outer":
                return outer

            return load

        assert await kind_of_result(worker, setup(), Outer("a")) is Outer

    @pytest.mark.parametrize("is_async", [False, True])
    async def test_a_class_further_down_is_found(self, worker: ltq.Worker, is_async: bool) -> None:
        def setup() -> tuple[ltq.Task[..., Any], type[Any]]:
            @worker.task
            async def load(local: "Local") -> "Local":
                return local

            @dataclasses.dataclass
            class Local:
                path: str

            return load, Local

        async def setup_slowly() -> tuple[ltq.Task[..., Any], type[Any]]:
            @worker.task
            async def load(local: "Local") -> "Local":
                return local

            @dataclasses.dataclass
            class Local:
                path: str

            return load, Local

        task, local = await setup_slowly() if is_async else setup()
        assert await kind_of_result(worker, task, local("a")) is local

    async def test_a_class_body_has_its_own_names(self, worker: ltq.Worker) -> None:
        class Tasks:
            @dataclasses.dataclass
            class Config:
                path: str

            @worker.task
            @staticmethod
            async def load(config: "Config") -> "Config":
                return config

        made: Any = Tasks.Config("a")
        assert await kind_of_result(worker, Tasks.load, made) is Tasks.Config

    async def test_a_name_that_a_caller_gives_another_sense_is_not_meant(
        self, worker: ltq.Worker
    ) -> None:
        async def load(config: "Config") -> "Config":
            return config

        def declare() -> ltq.Task[..., Any]:
            Config = int  # noqa: N806, F841
            return worker.task(load)

        assert await kind_of_result(worker, declare(), Config("a")) is Config
