"""Workflows: tasks whose results go on to other tasks.

    page = fetch.step("https://example.org")
    words = page.then(parse, lang="de")
    total = words.map(index, weight=2.0).then(add)
    handle = await total.send()
    print(await handle.result())

A `Node` is a description: nothing is sent before `send`, and it may be sent any number of times.
"""

from ltq.workflow.handle import WorkflowHandle
from ltq.workflow.join import join
from ltq.workflow.node import Node, Sendable
from ltq.workflow.options import NodeOptions, OnFailure
from ltq.workflow.state import WorkflowNode, WorkflowState

__all__ = [
    "Node",
    "NodeOptions",
    "OnFailure",
    "Sendable",
    "WorkflowHandle",
    "WorkflowNode",
    "WorkflowState",
    "join",
]
