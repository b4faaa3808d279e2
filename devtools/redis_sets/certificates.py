"""Certificates for servers of tests: an authority of our own, and what it has signed."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

_NEW = "openssl req -newkey rsa:2048 -nodes -subj /CN="
_NAMES = "subjectAltName=DNS:localhost,IP:127.0.0.1"


@dataclass(frozen=True)
class Certificates:
    """A folder with `NAME.crt` and `NAME.key` of an authority `ca`, of a `server` and a `client`
    that it has signed, and of an authority `other` that nobody trusts."""

    folder: Path

    @property
    def settings(self) -> dict[str, str]:
        """What a Redis server is told of its own."""
        files = {"cert-file": "server.crt", "key-file": "server.key", "ca-cert-file": "ca.crt"}
        return {f"tls-{option}": str(self.folder / name) for option, name in files.items()}

    @property
    def authority(self) -> str:
        """The file by which clients know the server."""
        return str(self.folder / "ca.crt")


def can_make_certificates() -> bool:
    """Whether there is an `openssl` to make them with."""
    return shutil.which("openssl") is not None


def make_certificates(folder: Path) -> Certificates:
    """Make them in this folder, for `localhost` and 127.0.0.1; they hold for two days."""
    for name in ("ca", "other"):
        _run(f"{_NEW}{name} -x509 -days 2 -keyout {name}.key -out {name}.crt", folder)
    (folder / "names").write_text(_NAMES)
    for name in ("server", "client"):
        _run(f"{_NEW}{name} -keyout {name}.key -out {name}.csr", folder)
        signed = f"-CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile names -out {name}.crt"
        _run(f"openssl x509 -req -in {name}.csr {signed}", folder)
    return Certificates(folder)


def _run(command: str, folder: Path) -> None:
    subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
