"""The brokers with names, as the code or a file declares them: checked, but not opened."""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ltq._display.suggestions import near_names
from ltq._display.values import short_repr
from ltq.broker._named.files import ConfigFile, find_file
from ltq.errors import ConfigurationError

NAME_RULE = "1 to 64 of the characters a-z 0-9 _ -, the first one a letter"

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}", re.ASCII)
_IN_CODE = "ltq.configure_brokers"
_KEYS = ("url", "primary")
"""What the table of a broker may have."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The brokers with names, and where they were declared."""

    source: str = ""
    """The path of a file, or `ltq.configure_brokers`; empty if there is neither."""
    urls: Mapping[str, str] = field(default_factory=dict)
    """By name, as they were written."""
    primary: str | None = None
    """The one that was declared so."""
    prefix: str = ""
    """What stands before the names of keys in the file."""
    folder: str = ""
    """Where the file is; empty if there is none."""

    def place_of(self, name: str) -> str:
        """Where the URL of a broker is written, for people."""
        if self.source == _IN_CODE:
            return f"{name!r} of {self.source}"
        return f"{self.prefix}brokers.{name}.url of {self.source}"


_declared: list[Settings] = []
"""What the code has declared; the last one counts. Threads see it before a change or after it."""


def configure_brokers(brokers: Mapping[str, str] | None, *, primary: str | None = None) -> None:
    """Give brokers names in code, for `@name` wherever a URL is taken.

        ltq.configure_brokers(
            {"orders": "${REDIS_URL}", "notifications": "redis://cache:6379/1"}, primary="orders"
        )

    It stands in place of `ltq.toml`, which is not read any more, and of an earlier call; None goes
    back to the file. Workers without a URL use the `primary` one. `${VAR}` is a variable of the
    environment; `LTQ_BROKER_URL_ORDERS` there replaces the URL of `orders`. A worker looks its name
    up at its first use, so call this before that; what is in use stays as it is. Raises
    `ConfigurationError` for a wrong name or value. It may be called from any thread.
    """
    if brokers is None:
        if primary is not None:
            raise ConfigurationError(f"{_IN_CODE}: primary is not allowed without brokers")
        _declared[:] = []
        return
    if not isinstance(brokers, Mapping):
        raise ConfigurationError(
            f"{_IN_CODE}: brokers is not allowed to be {_kind(brokers)}: URLs by name, "
            'as {"mail": "redis://localhost:6379"}'
        )
    _check_names(_IN_CODE, list(brokers))
    for name, url in brokers.items():
        _check_url(_IN_CODE, f"the URL of {name!r}", url)
    if primary is not None and primary not in list(brokers):  # also what has no hash
        raise ConfigurationError(
            f"{_IN_CODE}: primary={_shown(primary)} is none of the brokers: "
            f"{did_you_mean(primary, brokers)}allowed are {', '.join(brokers) or 'none'}"
        )
    _declared[:] = [Settings(_IN_CODE, dict(brokers), primary)]


def present_settings() -> Settings:
    """Those of the code, else those of the file, which is read again.

    Raises `ConfigurationError` for a file with a mistake.
    """
    for settings in _declared[-1:]:
        return settings
    file = find_file()
    return Settings() if file is None else _read(file)


def is_broker_name(text: object) -> bool:
    """Whether a broker may have this name."""
    return isinstance(text, str) and _NAME.fullmatch(text) is not None


def variable_of(name: str) -> str:
    """The environment's variable that replaces the URL of a broker."""
    return f"LTQ_BROKER_URL_{name.upper().replace('-', '_')}"


def did_you_mean(name: object, known: Iterable[str], mark: str = "") -> str:
    """What a wrong name may mean, as a question and a space; empty if nothing comes near."""
    near = near_names(name, list(known)) if isinstance(name, str) else []
    return f"did you mean {' or '.join(f'{mark}{one}' for one in near)}? " if near else ""


def _read(file: ConfigFile) -> Settings:
    """What a file declares. Raises `ConfigurationError`, which names the key."""
    source, prefix = file.path, file.prefix
    top = _table(source, prefix.rstrip("."), file.content, ["brokers"])
    brokers = _table(source, f"{prefix}brokers", top.get("brokers", {}), None)
    _check_names(source, list(brokers))
    urls: dict[str, str] = {}
    primaries: list[str] = []
    for name, value in brokers.items():
        key = f"{prefix}brokers.{name}"
        table = _table(source, key, value, _KEYS)
        if "url" not in table:
            raise ConfigurationError(f"{source}: {key} has no url")
        urls[name] = _check_url(source, f"{key}.url", table["url"])
        is_primary = table.get("primary", False)
        if not isinstance(is_primary, bool):
            text = f"{key}.primary is not allowed to be {_kind(is_primary)}: true or false"
            raise ConfigurationError(f"{source}: {text}")
        primaries += [name] if is_primary else []
    if len(primaries) > 1:
        raise ConfigurationError(
            f"{source}: {' and '.join(primaries)} are primary: only one of them can be"
        )
    primary = primaries[0] if primaries else None
    return Settings(source, urls, primary, prefix, os.path.dirname(source))


def _table(
    source: str, key: str, value: object, allowed: Sequence[str] | None
) -> Mapping[str, object]:
    """A table, with no keys but those that are allowed; None allows all."""
    if not isinstance(value, dict):
        raise ConfigurationError(f"{source}: {key} is not allowed to be {_kind(value)}: a table")
    for name in value:
        if allowed is not None and name not in allowed:
            whole = f"{key}.{name}" if key else name
            raise ConfigurationError(
                f"{source}: unknown key {whole}: {did_you_mean(name, allowed)}"
                f"allowed are {', '.join(allowed)}"
            )
    return value


def _check_url(source: str, key: str, url: object) -> str:
    """Return a text that is not empty. It is never shown: it may have a password."""
    if not isinstance(url, str):
        raise ConfigurationError(
            f"{source}: {key} is not allowed to be {_kind(url)}: "
            "a text such as redis://localhost:6379"
        )
    if not url:
        raise ConfigurationError(f"{source}: {key} is empty: redis://localhost:6379 for instance")
    return url


def _check_names(source: str, names: Sequence[object]) -> None:
    """Raise `ConfigurationError` for a wrong name, and for two that share a variable."""
    by_variable: dict[str, str] = {}
    for name in names:
        if not (isinstance(name, str) and is_broker_name(name)):
            raise ConfigurationError(
                f"{source}: {_shown(name)} is not allowed as the name of a broker: {NAME_RULE}"
            )
        variable = variable_of(name)
        other = by_variable.setdefault(variable, name)
        if other != name:
            raise ConfigurationError(
                f"{source}: brokers {other} and {name} would share the environment's {variable}: "
                "rename one of them"
            )


def _kind(value: object) -> str:
    """What a value is, for people. The value is not shown: it may have a password."""
    return f"of type {type(value).__name__}"


def _shown(name: object) -> str:
    """A name, unless it may be a URL that was given in its place."""
    is_text = isinstance(name, str) and "@" not in name and "://" not in name
    return short_repr(name) if is_text else f"what is {_kind(name)}"
