"""Reads settings from a TOML, YAML or JSON file into dataclasses and checks their types.

A setting can be changed on the command line: `losses.identity=0.1`.
"""

import json
import types
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from .config import Config, check_config


def load_config(path: str | Path, changes: Sequence[str] = ()) -> Config:
    """Read and check a config file; `changes` are `section.setting=value` with a JSON value.

    Raises ValueError naming the setting if it is unknown, missing, of the wrong type or out of
    range, or contradicts another one.
    """
    settings = read_settings(Path(path))
    for change in changes:
        name, equals, value = change.partition("=")
        section, dot, setting = name.partition(".")
        if not (equals and dot):
            raise ValueError(f"{change}: expected section.setting=value.")
        try:
            parsed = json.loads(value)
        except (ValueError, RecursionError):
            parsed = value  # text without quotes
        settings.setdefault(section, {})[setting] = parsed
    return make_config(settings)


def make_config(settings: Mapping[str, Any]) -> Config:
    """Make and check a config of sections with settings; errors as `load_config`."""
    return check_config(build_dataclass(Config, settings))


def read_settings(path: Path) -> dict[str, Any]:
    """Read the sections of a .toml, .yaml or .json file; ValueError if it cannot be read."""
    if not path.is_file():
        raise ValueError(f"config: there is no file {path}.")
    text = path.read_text("utf-8")
    try:
        if path.suffix == ".toml":
            try:
                import tomllib
            except ModuleNotFoundError:  # Python 3.10
                import tomli as tomllib  # pyright: ignore[reportMissingImports]
            settings = tomllib.loads(text)
        elif path.suffix in (".yaml", ".yml"):
            import yaml

            settings = yaml.safe_load(text)
        elif path.suffix == ".json":
            settings = json.loads(text)
        else:
            raise ValueError("expected a name that ends in .toml, .yaml or .json")
    except Exception as error:  # each format has its own kind
        raise ValueError(f"config: {path} cannot be read: {error}") from error
    if not isinstance(settings, dict):
        raise ValueError(f"config: {path} has no settings, expected sections such as [models].")
    return settings


def build_dataclass(kind: Any, settings: Any, name: str = "") -> Any:
    """Make a dataclass of a mapping whose keys are its fields and whose values have their types.

    `name` is the section's, for errors. Raises ValueError naming the setting.
    """
    if not isinstance(settings, Mapping):
        raise ValueError(f"{name}: expected a section with settings, got {settings!r}.")
    known = {f.name: f for f in fields(kind)}
    if unknown := sorted(set(settings) - set(known)):
        raise ValueError(
            f"{_dotted(name, unknown[0])}: there is no such setting. "
            f"Known here: {', '.join(known)}."
        )
    required = [n for n, f in known.items() if f.default is f.default_factory]  # both MISSING
    if missing := [key for key in required if key not in settings]:
        raise ValueError(f"{_dotted(name, missing[0])} is missing.")
    hints = get_type_hints(kind)
    return kind(**{k: _convert(v, hints[k], _dotted(name, k)) for k, v in settings.items()})


def _convert(value: Any, kind: Any, name: str) -> Any:
    if is_dataclass(kind):
        return build_dataclass(kind, value, name)
    origin = get_origin(kind)
    if origin is Literal:
        if value not in get_args(kind):
            choices = ", ".join(map(str, get_args(kind)))
            raise ValueError(f"{name}: expected one of {choices}, got {value!r}.")
        return value
    if origin is tuple:
        return _convert_list(value, get_args(kind), name)
    if origin in (Union, types.UnionType):
        kind = get_args(kind)[0]
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ValueError(f"{name}: expected {kind.__name__}, got {value!r}.")
    return value


def _convert_list(values: Any, kinds: tuple[Any, ...], name: str) -> tuple[Any, ...]:
    if not isinstance(values, (list, tuple)):
        raise ValueError(f"{name}: expected a list, got {values!r}.")
    if kinds[-1] is Ellipsis:
        kinds = kinds[:1] * len(values)
    if len(kinds) != len(values):
        raise ValueError(f"{name}: expected {len(kinds)} values, got {len(values)}.")
    return tuple(_convert(v, k, name) for v, k in zip(values, kinds, strict=True))


def _dotted(section: str, setting: str) -> str:
    return f"{section}.{setting}" if section else setting
