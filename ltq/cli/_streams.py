"""The three standard streams, which a process may be started without."""

import os


def open_standard_streams() -> None:
    """Open those of the descriptors 0, 1 and 2 that are closed, on nothing.

    Otherwise a socket would get such a number: what Python or a library prints would go there, and
    uvloop aborts the process when it closes one.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # it gets the lowest number that is free: this one
            os.set_inheritable(descriptor, True)
