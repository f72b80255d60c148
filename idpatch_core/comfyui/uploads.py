"""Names of uploaded files: each content has one of its own in the server's input folder."""

import hashlib
import unicodedata
from pathlib import PurePath

STEM_BYTES, SUFFIX_BYTES = 80, 16  # of a file name, which file systems limit to 143 bytes or more
SAFE = " -_."  # besides letters, digits and their marks


def hash_content(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def upload_name(name: str, digest: str) -> str:
    """Return the name under which a file is uploaded: its own, shortened, and its content's hash.

    Two files of one name stay apart so, and a server that has the file is known by the name.
    """
    path = PurePath(name)
    stem = shorten(path.stem, STEM_BYTES) or "image"
    return f"{stem}-{digest[:16]}{shorten(path.suffix, SUFFIX_BYTES)}"


def shorten(text: str, size: int) -> str:
    """Return a part of a file name in at most `size` bytes, with characters that all systems allow.

    Letters and digits of any script stay as they are.
    """
    safe = "".join(c if unicodedata.category(c)[0] in "LMN" or c in SAFE else "_" for c in text)
    return safe.strip(" ").encode()[:size].decode(errors="ignore")
