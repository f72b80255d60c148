"""Downloads the released model files: python idpatch_core/download.py --models ComfyUI/models

ComfyUI's own dialog downloads neither id-patch.bin nor files from GitHub. Nothing is downloaded
unless this command is run; an interrupted download resumes. It imports nothing of the pack, so that
it runs by its path also in Python's isolated mode, as Windows portable's does.
"""

import argparse
import contextlib
import hashlib
import http.client
import re
import shutil
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

CHUNK = 1 << 20
TIMEOUT = 60.0  # seconds without an answer


class DownloadError(RuntimeError):
    """A file could not be downloaded; the message names the file and the reason."""


class ModelFile(NamedTuple):
    """A released file: its URL, its path below models/ and its approximate size."""

    name: str
    url: str
    path: str
    size: str
    licence: str
    sha256: str = ""  # where known; otherwise Hugging Face's at the time of the download


HUGGING_FACE = "https://huggingface.co"
ID_PATCH = f"{HUGGING_FACE}/ByteDance/ID-Patch/resolve/main"
FILES = (
    ModelFile(
        "idpatch",
        f"{ID_PATCH}/id-patch.bin",
        "idpatch/id-patch.bin",
        "0.7 GB",
        "see the model card",
    ),
    ModelFile(
        "controlnet",
        f"{ID_PATCH}/ControlNetModel/diffusion_pytorch_model.safetensors",
        "controlnet/id-patch-controlnet.safetensors",  # many ControlNets have the released name
        "5 GB",
        "see the model card",
    ),
    ModelFile(
        "face",
        "https://github.com/xinntao/facexlib/releases/download/v0.1.0/"
        "recognition_arcface_ir_se50.pth",
        "facexlib/recognition_arcface_ir_se50.pth",
        "0.2 GB",
        "see facexlib",
        "a035c768259b98ab1ce0e646312f48b9e1e218197a0f80ac6765e88f8b6ddf28",
    ),
    ModelFile(
        "sdxl",
        f"{HUGGING_FACE}/stabilityai/stable-diffusion-xl-base-1.0/resolve/main/"
        "sd_xl_base_1.0.safetensors",
        "checkpoints/sd_xl_base_1.0.safetensors",
        "6.9 GB",
        "CreativeML Open RAIL++-M",
        "31e35c80fc4829d14f90153f4c74cd59c90b779f6afe05a74cd6120b893f7e5b",
    ),
)
DEFAULT = ("idpatch", "controlnet", "face")


class _KeepHash(urllib.request.HTTPRedirectHandler):
    """Keeps the SHA-256 that Hugging Face sends when it redirects to the file's storage."""

    def __init__(self) -> None:
        self.sha256 = ""

    def redirect_request(self, req, fp, code, msg, headers, newurl):  # urllib's own signature
        found = headers.get("X-Linked-ETag", "").strip('"')
        if re.fullmatch("[0-9a-f]{64}", found):
            self.sha256 = found
        if self.sha256 and req.get_method() == "HEAD":
            return None  # there is nothing else to know
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def fetch(
    file: ModelFile, models: Path, on_progress: Callable[[int, int], object] = lambda *_: None
) -> tuple[Path, str, bool]:
    """Download a file into its folder below `models`, or check the one that is there.

    Returns its path, its SHA-256 and whether that could be compared with the released file's.
    `on_progress` gets the bytes so far and in total (0 if unknown). Until it is complete the file
    is kept beside its path with the suffix .part. Raises DownloadError.
    """
    path = models / file.path
    part = path.with_name(path.name + ".part")
    try:
        if path.exists():
            expected, found = file.sha256 or _published_sha256(file), sha256(path)
            if expected and found != expected:
                raise DownloadError(
                    f"{path}: it is not the released file (its SHA-256 is {found}, expected "
                    f"{expected}). Move it away and run the command again."
                )
            return path, found, bool(expected)
        path.parent.mkdir(parents=True, exist_ok=True)
        published = _receive(file, part, on_progress)
        expected, found = file.sha256 or published, sha256(part)
        if expected and found != expected:
            part.unlink()
            raise DownloadError(
                f"{file.url}: the download is not the released file (its SHA-256 is {found}, "
                f"expected {expected}). Run the command again."
            )
        part.replace(path)
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        raise DownloadError(f"{file.url}: {error}. Run the command again to resume.") from error
    return path, found, bool(expected)


def _open(
    file: ModelFile, keep: _KeepHash, method: str = "GET", **headers: str
) -> http.client.HTTPResponse:
    headers = {"User-Agent": "comfyui-id-patch", **headers}
    request = urllib.request.Request(file.url, headers=headers, method=method)
    return urllib.request.build_opener(keep).open(request, timeout=TIMEOUT)


def _published_sha256(file: ModelFile) -> str:
    """Return the SHA-256 that the server announces; none without a network."""
    keep = _KeepHash()
    with contextlib.suppress(urllib.error.URLError, http.client.HTTPException, OSError):
        _open(file, keep, "HEAD").close()
    return keep.sha256


def _receive(file: ModelFile, part: Path, on_progress: Callable[[int, int], object]) -> str:
    """Download to `part`, or its rest, and return the SHA-256 that the server announces."""
    done = part.stat().st_size if part.exists() else 0
    keep = _KeepHash()
    try:
        answer = _open(file, keep, **({"Range": f"bytes={done}-"} if done else {}))
    except urllib.error.HTTPError as error:
        # The part is already complete: there are no bytes left to send.
        if done and error.code == 416 and error.headers["Content-Range"] == f"bytes */{done}":
            return keep.sha256
        if error.code == 416:
            part.unlink()  # it is longer than the file
        raise
    with answer:
        if answer.status != 206:  # the server cannot resume
            done = 0
        total = int(answer.headers.get("Content-Length", 0))
        total = done + total if total else 0
        _check_room(part.parent, total - done)
        with part.open("ab" if done else "wb") as output:
            while chunk := answer.read(CHUNK):
                output.write(chunk)
                done += len(chunk)
                on_progress(done, total)
    if total and done != total:
        raise OSError(f"received only {done} of {total} bytes")
    return keep.sha256


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise OSError(f"{needed / 1e9:.1f} GB are needed, {folder} has {free / 1e9:.1f} GB left")


def sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def main(arguments: Sequence[str] | None = None, files: Sequence[ModelFile] = FILES) -> int:
    parser = argparse.ArgumentParser(
        prog="download.py", description="Downloads the released model files, and checks them."
    )
    own = _own_models()
    parser.add_argument(
        "--models",
        type=Path,
        default=own,
        required=own is None,
        help="ComfyUI's models folder, by default that of the ComfyUI that this pack is in",
    )
    parser.add_argument(
        "files",
        nargs="*",
        metavar="FILE",
        help=f"which: {', '.join(file.name for file in files)} (default: {' '.join(DEFAULT)})",
    )
    options = parser.parse_args(arguments)
    by_name = {file.name: file for file in files}
    names = options.files or DEFAULT
    unknown = [name for name in names if name not in by_name]
    if unknown:
        parser.error(f"there is no {unknown[0]}; choose from {', '.join(by_name)}")
    if not options.models.is_dir():
        parser.error(f"there is no folder {options.models}")
    on_progress = _print_progress if sys.stdout.isatty() else lambda *_: None
    for file in (by_name[name] for name in names):
        if (options.models / file.path).exists():
            print(f"{options.models / file.path} exists, reading its SHA-256", flush=True)
        else:
            print(f"Downloading {file.url} ({file.size}; licence: {file.licence})", flush=True)
        try:
            path, digest, compared = fetch(file, options.models, on_progress)
        except DownloadError as error:
            print(f"\nerror: {error}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("\nStopped; run the command again to resume", file=sys.stderr)
            return 130
        checked = "as released" if compared else "not compared: no server named the released one"
        print(f"\r{path}: SHA-256 {digest} ({checked})", flush=True)
    return 0


def _own_models() -> Path | None:
    pack = Path(__file__).resolve().parents[1]
    models = pack.parents[1] / "models"
    return models if pack.parent.name == "custom_nodes" and models.is_dir() else None


def _print_progress(done: int, total: int) -> None:
    progress = f"{done / total:4.0%} of {total / 1e9:.1f} GB" if total else f"{done / 1e9:.1f} GB"
    print(f"\r{progress}", end="", flush=True)


if __name__ == "__main__":
    sys.exit(main())
