"""Run one measure of one queue: `python -P benchmarks/peers/__main__.py FILE MEASURE URL SIZE`.

FILE is the name of a module beside this one (or the path of any), SIZE a JSON object with fields
of `Size`. The last line printed is a JSON object with the figures and what they were measured of.
"""

import importlib
import importlib.metadata
import importlib.util
import json
import platform
import sys
from pathlib import Path
from types import ModuleType

if __name__ == "__main__":
    # Last, so that an installed package is found before one of this checkout: `ltq` is both.
    sys.path.append(str(Path(__file__).resolve().parents[2]))

from benchmarks.peers.contender import Contender
from benchmarks.peers.measures import MEASURES, Figures, Size


async def measure(kind: type[Contender], name: str, url: str, size: Size) -> Figures:
    """Open, measure, close."""
    contender = kind(url)
    await contender.open()
    try:
        return await MEASURES[name](contender, size)
    finally:
        await contender.aclose()


def load(name: str) -> ModuleType:
    """A module of this package, or one by its path."""
    if not name.endswith(".py"):
        return importlib.import_module(f"benchmarks.peers.{name}")
    spec = importlib.util.spec_from_file_location("contender_elsewhere", name)
    assert spec is not None, f"{name} cannot be loaded"
    assert spec.loader is not None, f"{name} cannot be loaded"
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def version(package: str) -> str | None:
    """What is installed; None if it is not (or comes from a checkout)."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def main() -> None:
    """Measure as the command line says."""
    file, name, url, size = sys.argv[1:]
    kind: type[Contender] = load(file).CONTENDER
    uvloop = importlib.util.find_spec("uvloop") is not None
    run = importlib.import_module("uvloop" if uvloop else "asyncio").run
    figures = run(measure(kind, name, url, Size(**json.loads(size))))
    packages = [*kind.packages, "redis", "hiredis", "uvloop"]
    versions = {package: version(package) for package in packages}
    about = {
        "figures": figures,
        "python": platform.python_version(),
        "versions": {package: found for package, found in versions.items() if found},
    }
    print(json.dumps(about), flush=True)


if __name__ == "__main__":
    main()
