"""Real RabbitMQ servers for tests: a node each, with its own name, ports, folder and `epmd`."""

import json
import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import aiormq

from devtools.redis_sets.certificates import Certificates
from devtools.servers import Server, free_ports

_USERS = ("rabbitmq", "nobody")
"""Who runs a server that root starts."""


class User(NamedTuple):
    """A user of a server besides `ltq`, who may do everything, and what it may do in its vhost.

    The rights are patterns of names: what it may declare, write to, and read from.
    """

    name: str
    configure: str = ""
    write: str = ""
    read: str = ""
    tag: str = ""
    """What it may see of the management API: nothing, or as `management` or `monitoring`."""
    password: str = "secret"
    vhost: str = "/"


def _unprivileged() -> dict[str, Any]:
    """What `subprocess` needs to run a server: another user, if this one is root."""
    if os.geteuid() != 0:
        return {}
    known = {one.pw_name: one for one in pwd.getpwall()}
    user = next(known[name] for name in _USERS if name in known)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": ()}


async def delete_all(url: str, prefix: str, queues: Iterable[str]) -> None:
    """Delete what a prefix has at a server: these queues, that of the dead, and the exchanges."""
    async with await aiormq.connect(url) as connection:
        channel = await connection.channel()
        for queue in {*queues, f"{prefix}.dead"}:
            await channel.queue_delete(queue)
        for exchange in (prefix, f"{prefix}.dead", f"{prefix}.events"):
            await channel.exchange_delete(exchange)


class RabbitServer(Server):
    """One node of RabbitMQ, on loopback only. The password of `ltq` is `secret`.

    Killed or stopped, it may be started again: durable queues and what is in them are still there.
    `settings` are lines of `rabbitmq.conf`; with `has_quorum=False` it knows no quorum queues, as
    nodes that were upgraded from before 3.8 without enabling their feature. With `policies`, each a
    pattern of queues and what it sets for them, it has the management API as well, where the user
    `ltq` may see all.
    """

    NAME = "rabbitmq"
    READY = b"server startup complete"
    START_WITHIN = 120.0

    def __init__(
        self,
        executable: str,
        *settings: str,
        users: Sequence[User] = (),
        has_quorum: bool = True,
        certificates: Certificates | None = None,
        policies: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        ports = free_ports(5)
        super().__init__(ports)
        self._executable = executable
        self._epmd_port, self._distribution_port = ports + 1, ports + 2
        self.tls_port, self._management_port = ports + 3, ports + 4
        self._has_quorum = has_quorum
        self._epmd: subprocess.Popen[bytes] | None = None
        self._owner = _unprivileged()
        folder = Path(self._directory)
        plugins = "[]." if policies is None else "[rabbitmq_management]."
        (folder / "enabled_plugins").write_text(plugins, "ascii")
        definitions = json.dumps(_definitions(users, policies or {}))
        (folder / "definitions.json").write_text(definitions, "ascii")
        if policies is not None:
            settings = (*settings, *self._management())
        if certificates is not None:
            settings = (*settings, *self._tls(certificates))
        first = f"load_definitions = {folder}/definitions.json"
        (folder / "rabbitmq.conf").write_text("\n".join([first, *settings, ""]), "ascii")
        if self._owner:
            for path in (folder, *folder.iterdir()):
                os.chown(path, self._owner["user"], self._owner["group"])

    @property
    def url(self) -> str:
        return self.url_of("ltq")

    @property
    def tls_url(self) -> str:
        """Where it is over TLS, if it has certificates."""
        return f"amqps://ltq:secret@127.0.0.1:{self.tls_port}/"

    @property
    def management_url(self) -> str:
        """Where its management API is, if it has `policies`."""
        return f"http://127.0.0.1:{self._management_port}"

    def url_of(self, user: str) -> str:
        """Where it is, for a user."""
        return f"amqp://{user}:secret@127.0.0.1:{self.port}/"

    def start(self) -> None:
        """Start, and wait until connections are accepted."""
        self._epmd = self._epmd or subprocess.Popen(
            [_epmd(), "-port", str(self._epmd_port), "-address", "127.0.0.1"],
            env=self._environment(),
            cwd=self._directory,
            stdin=subprocess.DEVNULL,
            **self._owner,
        )
        super().start()

    def stop(self) -> None:
        """Shut down as an administrator would; nothing if it is not running."""
        super().stop()
        self._end_epmd()

    def kill(self) -> None:
        """Shut down as a power cut would; nothing if it is not running."""
        super().kill()
        self._end_epmd()

    def control(self, *words: str) -> str:
        """What `rabbitmqctl` says, which takes a second or two."""
        program = Path(self._executable).with_name("rabbitmqctl")
        done = subprocess.run(
            [str(program), "-q", *words],
            env=self._environment(),
            cwd=self._directory,
            capture_output=True,
            text=True,
            check=False,
            **self._owner,
        )
        if done.returncode != 0:
            raise RuntimeError(f"rabbitmqctl {' '.join(words)}:\n{done.stdout}{done.stderr}")
        return str(done.stdout)

    def _management(self) -> list[str]:
        """The settings of its API, which tells what happened a moment ago."""
        soon = "[{rabbit, [{quorum_tick_interval, 500}]}]."
        (Path(self._directory) / "advanced.config").write_text(soon, "ascii")
        return [
            "management.tcp.ip = 127.0.0.1",
            f"management.tcp.port = {self._management_port}",
            "collect_statistics_interval = 500",
        ]

    def _tls(self, certificates: Certificates) -> list[str]:
        """The settings of TLS, with files that its user may read."""
        files = {"cacertfile": "ca.crt", "certfile": "server.crt", "keyfile": "server.key"}
        for name in files.values():
            shutil.copy(certificates.folder / name, self._directory)
        lines = [f"ssl_options.{option} = {self._directory}/{n}" for option, n in files.items()]
        return [f"listeners.ssl.1 = 127.0.0.1:{self.tls_port}", *lines]

    def _command(self) -> list[str]:
        return [self._executable]

    def _user(self) -> dict[str, Any]:
        # A group of its own: a script starts the node, and both get each signal.
        return {**self._owner, "env": self._environment(), "process_group": 0}

    def _environment(self) -> dict[str, str]:
        folder = self._directory
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "LANG": "C.UTF-8",
            "HOME": folder,
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"ltq-{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_MNESIA_BASE": f"{folder}/data",
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_CONFIG_FILE": f"{folder}/rabbitmq",
            "RABBITMQ_ADVANCED_CONFIG_FILE": f"{folder}/advanced.config",
            "RABBITMQ_CONF_ENV_FILE": f"{folder}/none",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/enabled_plugins",
            "RABBITMQ_PID_FILE": f"{folder}/pid",
            # One scheduler that does not spin: tests share few cores.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
                "+S 1:1 +sbwt none -kernel inet_dist_use_interface {127,0,0,1}"
            ),
        }
        if not self._has_quorum:
            environment["RABBITMQ_FEATURE_FLAGS"] = ""
        return environment

    def _signal_all(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def _end(self) -> None:
        self._signal_all(signal.SIGTERM)

    def _end_epmd(self) -> None:
        if self._epmd is not None:
            self._epmd.kill()
            self._epmd.wait()
            self._epmd = None


def _epmd() -> str:
    """Where the program is that knows the ports of nodes. It need not be on the PATH."""
    found = shutil.which("epmd")
    if found is None:
        folders = sorted(Path("/usr/lib/erlang").glob("erts-*/bin/epmd"))
        found = str(folders[-1]) if folders else "epmd"
    return found


def _definitions(
    users: Sequence[User], policies: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """Users, their rights, and policies, as a server reads them at its first start."""
    everyone = [User("ltq", ".*", ".*", ".*", "monitoring" if policies else ""), *users]
    return {
        "vhosts": [{"name": vhost} for vhost in dict.fromkeys(one.vhost for one in everyone)],
        "users": [
            {"name": one.name, "password": one.password, "tags": one.tag} for one in everyone
        ],
        "permissions": [
            {
                "user": one.name,
                "vhost": one.vhost,
                "configure": one.configure,
                "write": one.write,
                "read": one.read,
            }
            for one in everyone
        ],
        "policies": [
            {
                "vhost": "/",
                "name": f"policy {number}",
                "pattern": pattern,
                "apply-to": "queues",
                "definition": definition,
                "priority": number,
            }
            for number, (pattern, definition) in enumerate(policies.items())
        ],
    }
