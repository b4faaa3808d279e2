"""How an error looks whose own code may not be trusted."""


def text_of(error: BaseException) -> str:
    """The text of an error. If its `str` raises, whatever that is, this says so instead."""
    try:
        return str(error)
    except BaseException:
        return "(its text cannot be shown)"
