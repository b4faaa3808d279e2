"""`python -m devtools.simulate [--seconds 60] [--seed N] [--days N]`."""

import argparse
import asyncio
import itertools
import logging
import os
import random
import sys
import time

from devtools.simulate.day import live


def main() -> int:
    """Live days until the time is over, or one of them goes wrong: then tell its seed."""
    parser = argparse.ArgumentParser(prog="python -m devtools.simulate")
    parser.add_argument("--seconds", type=float, default=60.0, help="real ones (default 60)")
    parser.add_argument("--seed", type=int, default=None, help="of the first day; else by chance")
    parser.add_argument("--days", type=int, default=None, help="no more of them")
    parser.add_argument("--jobs", type=int, default=600, help="of a day (default 600)")
    parsed = parser.parse_args()
    logging.disable(logging.CRITICAL)
    first = random.SystemRandom().randrange(10**6) if parsed.seed is None else parsed.seed
    begin = time.monotonic()
    for number in itertools.count():
        if time.monotonic() - begin >= parsed.seconds or number == parsed.days:
            return 0
        lived = asyncio.run(live(first + number, parsed.jobs))
        told = f"day {lived.seed}: {lived.sent} sent, {lived.runs} runs, {lived.digest}"
        sys.stdout.write(f"{told}\n")
        if lived.findings:
            sys.stdout.writelines(f"  {one}\n" for one in lived.findings)
            again = f"python -m devtools.simulate --seed {lived.seed} --days 1"
            sys.stdout.write(f"live it again: {again} --jobs {parsed.jobs}\n")
            return 1
    return 0


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":  # sets have the same order in each run
        os.execve(
            sys.executable,
            [sys.executable, "-m", "devtools.simulate", *sys.argv[1:]],
            os.environ | {"PYTHONHASHSEED": "0"},
        )
    sys.exit(main())
