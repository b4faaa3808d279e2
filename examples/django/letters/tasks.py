"""The tasks of the app, as Django declares them."""

from django.tasks import TaskContext, task


@task(queue_name="letters")
def write(name: str, *, lines: int = 1) -> list[str]:
    """Write a letter."""
    return [f"Dear {name},", *["thank you."] * lines]


@task(queue_name="letters", takes_context=True)
async def post(context: TaskContext, name: str) -> str:
    """Post a letter."""
    return f"letter {context.task_result.id} to {name}, attempt {context.attempt}"
