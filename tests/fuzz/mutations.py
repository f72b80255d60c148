"""Mutations that keep the form of an input, so that what lies behind the first check is reached."""

import io
import json
import struct
import zipfile
import zlib
from collections.abc import Callable
from random import Random
from typing import Any

VALUES = (
    *[None, True, False, 0, 1, -1, 2, 0.5, -0.5, 1e-320, 1e5, 1e6, 1e7, 1e38, 1e308, -1e308],
    *[2**31, 2**53, 2**63, 2**64, -(2**63), 10**400, float("nan"), float("inf"), float("-inf")],
    *[
        "",
        "a",
        "\0",
        "\ud800",
        "\u2028",
        "é",
        "..",
        "/",
        "../a.jpg",
        "a" * 300,
        "a:b",
        "1",
        "1e999",
    ],
    *[[], {}, [[]], [None], [0, 0], [1, 2, 3, 4], {"x": 1, "y": 2}, {"x": None}],
)
DEEP = 200  # brackets; more is for the parser, and one seed has them

KeyPath = list[Any]  # the keys and indices to a value
Mutate = Callable[[bytes], bytes]  # of bytes, without regard to their form


def mutate_json(data: bytes, random: Random, mutate_bytes: Mutate | None = None) -> bytes | None:
    """Return a JSON text with one or more of its values replaced, removed, added or moved."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return None
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        value = _mutate_value(value, random)
    return json.dumps(value, ensure_ascii=random.random() < 0.5).encode(errors="surrogatepass")


def mutate_lines(data: bytes, random: Random, mutate_bytes: Mutate | None = None) -> bytes | None:
    """Return JSON lines with one line mutated, repeated or removed."""
    lines = data.split(b"\n")
    index = random.randrange(len(lines))
    if random.random() < 0.2:
        lines[index : index + 1] = random.choice(([], [lines[index]] * 2))
    else:
        mutated = mutate_json(lines[index], random)
        if mutated is None:
            return None
        lines[index] = mutated
    return b"\n".join(lines)


def _mutate_value(value: Any, random: Random) -> Any:
    paths = list(_find_paths(value))
    path = random.choice(paths)
    if not path:
        return _choose_value(value, paths, random)
    parent = _follow(value, path[:-1])
    action = random.random()
    if action < 0.15:
        del parent[path[-1]]
    elif action < 0.3 and isinstance(parent, list):
        parent.insert(path[-1], _choose_value(value, paths, random))
    elif action < 0.3:
        parent[random.choice((path[-1], "version", "name", "x", ""))] = parent.pop(path[-1])
    else:
        parent[path[-1]] = _choose_value(value, paths, random)
    return value


def _choose_value(value: Any, paths: list[KeyPath], random: Random) -> Any:
    choice = random.random()
    if choice < 0.2:
        return _copy(_follow(value, random.choice(paths)))
    if choice < 0.25:
        nested: Any = random.choice(VALUES)
        for _ in range(random.randrange(DEEP)):
            nested = [nested] if random.random() < 0.5 else {"a": nested}
        return nested
    if choice < 0.3:
        return [_copy(random.choice(VALUES))] * random.choice((2, 17, 18, 51, 54, 75, 1000))
    if choice < 0.4:
        return random.uniform(-1, 1) * 10 ** random.randrange(8)
    return _copy(random.choice(VALUES))


def _copy(value: Any) -> Any:
    return json.loads(json.dumps(value))


def _find_paths(value: Any, path: KeyPath | None = None) -> Any:
    path = path or []
    yield path
    if len(path) < DEEP:
        items = value.items() if isinstance(value, dict) else ()
        items = enumerate(value) if isinstance(value, list) else items
        for key, item in items:
            yield from _find_paths(item, [*path, key])


def _follow(value: Any, path: KeyPath) -> Any:
    for key in path:
        value = value[key]
    return value


def mutate_safetensors(data: bytes, random: Random, mutate_bytes: Mutate) -> bytes | None:
    """Return a safetensors file with another header, whose length mostly fits, or other values."""
    if len(data) < 8:
        return None
    (length,) = struct.unpack("<Q", data[:8])
    if length < len(data) and random.random() < 0.3:
        values = mutate_bytes(data[8 + length :])
        whole = values[: len(data) - 8 - length].ljust(len(data) - 8 - length, b"\0")
        return data[: 8 + length] + whole
    header = mutate_json(data[8 : 8 + length], random)
    if header is None or length > len(data):
        return None
    told = len(header) if random.random() < 0.9 else random.choice((0, 1 << 20, 2**63, length))
    return struct.pack("<Q", told) + header + data[8 + length :]


def mutate_zip(data: bytes, random: Random, mutate_bytes: Mutate) -> bytes | None:
    """Return a zip with one member's bytes mutated, or a member left out or compressed."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [(info.filename, archive.read(info)) for info in archive.infolist()]
    except Exception:  # whatever a broken zip raises
        return None
    if not members:
        return None
    pickles = [i for i, (name, _) in enumerate(members) if name.endswith(".pkl")]
    chosen = random.choice(pickles or [0]) if random.random() < 0.8 else None
    index = random.randrange(len(members)) if chosen is None else chosen
    name, content = members[index]
    if random.random() < 0.1:
        del members[index]
    else:
        members[index] = name, mutate_bytes(content)
    made = io.BytesIO()
    method = zipfile.ZIP_DEFLATED if random.random() < 0.05 else zipfile.ZIP_STORED
    with zipfile.ZipFile(made, "w", method) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return made.getvalue()


def mutate_png(data: bytes, random: Random, mutate_bytes: Mutate) -> bytes | None:
    """Return a PNG with one chunk mutated, left out, repeated or moved; the checksums fit."""
    chunks, at = [], 8
    while at + 12 <= len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        if at + 12 + length > len(data):
            break
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    if not data.startswith(b"\x89PNG") or not chunks:
        return None
    index = random.randrange(len(chunks))
    kind, content = chunks[index]
    action = random.random()
    if action < 0.1:
        del chunks[index]
    elif action < 0.2:
        chunks.insert(random.randrange(len(chunks)), chunks[index])
    elif action < 0.3:
        chunks[index] = random.choice(PNG_CHUNKS), content
    else:
        chunks[index] = kind, mutate_bytes(content)
    return data[:8] + b"".join(
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    )


PNG_CHUNKS = (b"IHDR", b"PLTE", b"IDAT", b"tRNS", b"eXIf", b"acTL", b"fcTL", b"fdAT", b"gAMA")
