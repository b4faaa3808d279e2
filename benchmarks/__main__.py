"""Measure LTQ alone, or LTQ and its peers; print the medians.

    python -m benchmarks [MEASURE ...] [--broker redis|sqlite|postgres] [--runs N]
    python -m benchmarks peers [NAME ...]     its --help tells more
    python -m benchmarks soak                 a long run on PostgreSQL; likewise
    python -m benchmarks masters              clusters of several masters; likewise
    python -m benchmarks streams              items from a worker to its readers; likewise
    python -m benchmarks workflows            maps, cancels and watched trees; likewise
    python -m benchmarks rabbitmq             RabbitMQ in front of a store; likewise
    python -m benchmarks scale [CURVE ...]    beside more and more of something; likewise
    python -m benchmarks network              with a network between; likewise

Redis needs a redis-server on PATH, PostgreSQL its binaries: a server is started for the run, on a
free loopback port.
"""

import argparse
import importlib
import sys
from collections.abc import Sequence

from benchmarks import own
from benchmarks.comparison import medians
from benchmarks.stores import STORES, store_class

_PROGRAMS = {
    "peers": "benchmarks.run",
    "soak": "benchmarks.soak",
    "masters": "benchmarks.masters",
    "streams": "benchmarks.streams",
    "workflows": "benchmarks.workflows",
    "rabbitmq": "benchmarks.rabbitmq",
    "scale": "benchmarks.curves.program",
    "network": "benchmarks.network",
}
"""What has a command line of its own, by its first word; imported when it is called."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line, run, print."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    if words and words[0] in _PROGRAMS:
        code: int = importlib.import_module(_PROGRAMS[words[0]]).main(words[1:])
        return code
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("measures", nargs="*", metavar="MEASURE")
    parser.add_argument("--broker", choices=STORES, default="redis")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--scale", type=float, default=1.0, help="less than 1 for a try")
    parsed = parser.parse_args(words)
    kind = store_class(parsed.broker)
    known = kind.measures
    unknown = set(parsed.measures) - set(known)
    if unknown:
        parser.error(f"unknown measure {min(unknown)!r}: one of {', '.join(known)}")
    try:
        store = kind()
    except LookupError as error:
        parser.error(str(error))
    with store.own(parsed.scale) as measure:
        for name in parsed.measures or known:
            runs = [measure(name) for _ in range(parsed.runs)]
            print(f"{name:18} {own.shown(medians(runs))}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
