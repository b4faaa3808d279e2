"""A task as the command that sends it from a shell."""

import json
import shlex
import sys
from typing import Any

from ltq.state import Priority, TaskState
from ltq.web._view.values import Call
from ltq.worker import Worker


def send_command(
    state: TaskState[bytes], call: Call, url: str, worker: Worker[Any] | None = None
) -> str:
    """`ltq send ...` with the same arguments, priority and tags, as a new task."""
    name = state.task_name.partition(":")[2] or state.task_name
    words = ["ltq", "send", f"{_target(worker)}.{name}"]
    if call.args:
        words += ["--args", json.dumps(call.args)]
    if call.kwargs:
        words += ["--kwargs", json.dumps(call.kwargs)]
    if state.priority is not Priority.NORMAL:
        words += ["--priority", state.priority.name.lower()]
    for tag in state.tags:
        words += ["--tag", tag]
    return shlex.join([*words, "--broker-url", url])


def _target(worker: Worker[Any] | None) -> str:
    """`module:worker` of a worker, as far as it can be found; else a place to fill in."""
    if worker is not None:
        for module_name, module in list(sys.modules.items()):
            if module_name.startswith(("ltq.", "_")):
                continue
            for name, value in list(vars(module).items() if hasattr(module, "__dict__") else ()):
                if value is worker and name.isidentifier():
                    return f"{module_name}:{name}"
    return "MODULE:WORKER"
