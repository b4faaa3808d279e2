"""`Any` stands in a public signature only where types are forgotten for a reason, written here."""

import ast
from collections.abc import Iterable

import pytest

from devtools.source import trees
from devtools.surface import names_in, surface

pytestmark = pytest.mark.slow

FORGETFUL = {"Handle", "Message", "SyncHandle", "Task", "TaskState"}
"""Generics whose parameters are `Any` where none are given."""

ALLOWED = {
    "Tasks of all types stand together: in a worker, before its middleware, on a schedule.": {
        "ltq.worker.Worker.tasks",
        "ltq.task.SendHook.on_send",
        "ltq.scheduler.Scheduler.cron",
        "ltq.scheduler.Scheduler.put",
        "ltq.schedule.NeedsNoArguments.message",
        "ltq.schedule.Schedule.task",
        "ltq.schedule.Schedule.message",
        "ltq.context.Context.__init__",
        "ltq.context.Context.message",
        "ltq.context.Context.send_after",
        "ltq.context.Context.send_after_sync",
        "ltq.context.message_in",
        "ltq.middleware.base.Middleware.__call__",
        "ltq.middleware.max_age.MaxAge.__call__",
        "ltq.middleware.max_rate.MaxRate.__call__",
        "ltq.middleware.max_tries.MaxTries.__call__",
        "ltq.middleware.otel.OpenTelemetry.__call__",
        "ltq.middleware.otel.OpenTelemetry.on_send",
        "ltq.middleware.prometheus.HasQueues.tasks",
        "ltq.middleware.prometheus.Prometheus.__call__",
        "ltq.middleware.prometheus.Prometheus.on_send",
        "ltq.middleware.sentry.Sentry.__call__",
        "ltq.testing.box.Box.task",
        "ltq.testing.box.box_of",
    },
    "States of all types stand together: of whatever task failed, or of a worker's tasks.": {
        "ltq.errors.TaskError.__init__",
        "ltq.errors.TaskError.__reduce__",
        "ltq.handle.error_of",
        "ltq.testing.box.Box.drain",
        "ltq.testing.box.drain",
    },
    "Workers stand together, whatever their lifespans give; a lifespan may name its own.": {
        "ltq.worker.Worker.__init__",
        "ltq.app.App.register_worker",
        "ltq.app.App.workers",
        "ltq.contrib.django.project.project_workers",
        "ltq.scheduler.Scheduler.register_worker",
        "ltq.web.app.dashboard",
        "ltq.testing.box.Box.__init__",
        "ltq.testing.box.Box.workers",
        "ltq.testing.box.use",
        "ltq.testing.plugin.ltq_box",
        "ltq.testing.plugin.ltq_targets",
        "ltq.testing.box.drain",
    },
    "Arguments as they came, and what middleware keeps beside them: the decorator knows more.": {
        "ltq.message.Message.args",
        "ltq.message.Message.kwargs",
        "ltq.message.Message.ctx",
        "ltq.message.decode_ctx",
        "ltq.message.encode_ctx",
    },
    "Options as they were declared: they were checked by their TypedDict.": {
        "ltq.task.Task.options",
        "ltq.middleware.sentry.Sentry.__init__",  # sentry_sdk.init's
        "ltq.cli.run.command.run",  # click's
        "ltq.cli.send.command.send",  # click's
    },
    "Values between bytes and types: annotations are read when the program runs.": {
        "ltq.codec.Serializer.dumps",
        "ltq.codec.Serializer.loads",
        "ltq.handle.Handle.__init__",
        "ltq.streams.handle.StreamHandle.__init__",
    },
    "What Django looks for by its name, of classes without types.": {
        "ltq.contrib.django.__getattr__",
        "ltq.contrib.django.management.commands.ltq_worker.Command",
        "ltq.contrib.django.project.__getattr__",
        "ltq.contrib.django.templatetags.ltq_dashboard.register",
    },
    "Coroutines and asyncio's tasks: what is sent into them, or what somebody else's return.": {
        "ltq.streams.decorator.TaskDecorator.__call__",
        "ltq.worker.Worker.task",
        "ltq.testing.box.Box.running",
    },
}
"""Who may say `Any`, by the reason."""


def forgets(annotation: ast.expr, aliases: Iterable[str] = ()) -> bool:
    """Whether it says `Any`, or a generic of ours without saying of what."""
    return any(
        name == "Any" or name in aliases or (name in FORGETFUL and not has_parameters)
        for name, has_parameters in names_in(annotation)
    )


def forgetful_aliases() -> set[str]:
    """Names for types that say `Any`."""
    aliases = {
        ast.unparse(node.targets[0]): node.value
        for tree in trees().values()
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Subscript | ast.BinOp)
    }
    return {name for name, value in aliases.items() if forgets(value)}


class TestSurface:
    def test_any_stands_where_there_is_a_reason_and_nowhere_else(self) -> None:
        aliases = forgetful_aliases()
        found = {one.owner for one in surface() if forgets(one.annotation, aliases)}
        assert found == {name for names in ALLOWED.values() for name in names}

    def test_every_parameter_and_result_has_a_type(self) -> None:
        bare = [
            f"{module}: {node.name}"
            for module, tree in trees().items()
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.returns is None
        ]
        assert bare == []

    def test_the_walk_sees_what_it_must(self) -> None:
        seen = {one.owner for one in surface()}
        assert seen >= {
            "ltq.handles.gather",
            "ltq.task.Task.send",
            "ltq.worker.Worker.middlewares",
            "ltq.broker.roles.Settler.finish",
            "ltq.testing.assertions.assert_sent",
            "ltq.state.TaskState.result",
        }

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("Any", True),
            ("list[dict[str, Any]] | None", True),
            ("'Task[..., Any]'", True),
            ("Message", True),
            ("Callable[['Task'], None]", True),
            ("Message[R]", False),
            ("Literal['json', 'msgpack']", False),
            ("list[Handle[R]]", False),
            ("None", False),
        ],
    )
    def test_it_knows_what_forgets(self, text: str, expected: bool) -> None:
        assert forgets(ast.parse(text, mode="eval").body) is expected
