"""LTQ: a lightweight, async-first, fully typed task queue on Redis, PostgreSQL or SQLite."""

from ltq.app import App
from ltq.broker import Broker, configure_brokers
from ltq.context import Context, current
from ltq.errors import (
    BrokerError,
    ConfigurationError,
    DecodeError,
    ExhaustedError,
    InvalidArgumentsError,
    LifespanError,
    LtqError,
    QueueFullError,
    RejectError,
    RerunError,
    ResultError,
    ResultTimeoutError,
    RetryError,
    RunOverError,
    ScheduleNotFoundError,
    TaskCancelledError,
    TaskError,
    TaskFailedError,
    TaskNotFoundError,
    TaskRejectedError,
)
from ltq.events import Event, EventKind, EventReader
from ltq.handle import Handle
from ltq.handles import as_completed, gather
from ltq.logger import TaskFilter, get_logger, setup_logging
from ltq.message import Message
from ltq.middleware import (
    MaxAge,
    MaxRate,
    MaxTries,
    Middleware,
    Observer,
    OpenTelemetry,
    Prometheus,
    Sentry,
)
from ltq.notebook import display
from ltq.options import SendOptions, TaskOptions
from ltq.scheduler import Schedule, ScheduleInfo, Scheduler
from ltq.state import Priority, Progress, QueueStats, Status, TaskState, WorkerHealth
from ltq.streams import Stream, StreamHandle, StreamTask, SyncStream, SyncStreamHandle
from ltq.sync import SyncHandle, close_sync
from ltq.task import Task
from ltq.worker import Worker
from ltq.workflow import Node, WorkflowHandle, WorkflowNode, WorkflowState, join

__all__ = [
    "App",
    "Broker",
    "BrokerError",
    "ConfigurationError",
    "Context",
    "DecodeError",
    "Event",
    "EventKind",
    "EventReader",
    "ExhaustedError",
    "Handle",
    "InvalidArgumentsError",
    "LifespanError",
    "LtqError",
    "MaxAge",
    "MaxRate",
    "MaxTries",
    "Message",
    "Middleware",
    "Node",
    "Observer",
    "OpenTelemetry",
    "Priority",
    "Progress",
    "Prometheus",
    "QueueFullError",
    "QueueStats",
    "RejectError",
    "RerunError",
    "ResultError",
    "ResultTimeoutError",
    "RetryError",
    "RunOverError",
    "Schedule",
    "ScheduleInfo",
    "ScheduleNotFoundError",
    "Scheduler",
    "SendOptions",
    "Sentry",
    "Status",
    "Stream",
    "StreamHandle",
    "StreamTask",
    "SyncHandle",
    "SyncStream",
    "SyncStreamHandle",
    "Task",
    "TaskCancelledError",
    "TaskError",
    "TaskFailedError",
    "TaskFilter",
    "TaskNotFoundError",
    "TaskOptions",
    "TaskRejectedError",
    "TaskState",
    "Worker",
    "WorkerHealth",
    "WorkflowHandle",
    "WorkflowNode",
    "WorkflowState",
    "as_completed",
    "close_sync",
    "configure_brokers",
    "current",
    "display",
    "gather",
    "get_logger",
    "join",
    "setup_logging",
]
