"""What the tasks of one claim leave room for."""


class Crew:
    """The tasks of one claim, beside `running` others of the same process; -1: regardless.

    A task that its workers died under needs small company, also of what comes with it.
    """

    def __init__(self, limit: int, running: int) -> None:
        self.room = limit
        """How many more may be given; negative where some were given once more."""
        self.refused: int | None = None
        """The smallest company that a task needs which was left."""
        self._present = max(0, running)
        self._is_regardless = running < 0

    @property
    def beside(self) -> int:
        """What runs beside the next one; -1 until one was taken regardless."""
        return -1 if self._is_regardless else self._present

    def takes(self, company: int | None) -> bool:
        """Take in a task that needs such company, if it fits."""
        if company is not None and not self._is_regardless and self._present >= company:
            self.refused = min(company, self.refused or company)
            return False
        self.join(company)
        return True

    def join(self, company: int | None) -> None:
        """Take in a task that needs such company, and was given already."""
        if company is not None and self._is_regardless:  # it was waited for in vain
            self._is_regardless = False
        elif company is not None:
            self.room = min(self.room, company - self._present)
        self.room -= 1
        self._present += 1
