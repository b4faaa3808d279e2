"""What a figure is: a name, what was measured, and how much it may be."""

from collections.abc import Sequence
from dataclasses import dataclass

from devtools.chaos.say import table


@dataclass(frozen=True)
class Goal:
    """One measured value; without a limit it only informs."""

    name: str
    value: float | str
    most: float | None = None

    @property
    def is_met(self) -> bool:
        return self.most is None or (not isinstance(self.value, str) and self.value <= self.most)

    @property
    def shown(self) -> str:
        value = f"{self.value:.3f}" if isinstance(self.value, float) else str(self.value)
        if self.most is None:
            return value
        return f"{value:<12} at most {self.most:g}: {'met' if self.is_met else 'MISSED'}"


def show(title: str, goals: Sequence[Goal]) -> bool:
    """Print them; whether all are met."""
    table(title, [(goal.name, goal.shown) for goal in goals])
    return all(goal.is_met for goal in goals)
