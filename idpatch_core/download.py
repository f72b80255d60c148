"""Downloads the released model files: python -m idpatch_core.download --models ComfyUI/models

ComfyUI's own dialog downloads neither id-patch.bin nor files from GitHub. Nothing is downloaded
unless this command is run; an interrupted download resumes.
"""

import argparse
import hashlib
import http.client
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
    """A released file: its URL, its folder below models/ and its approximate size."""

    name: str
    url: str
    folder: str
    size: str
    licence: str
    sha256: str = ""  # where known

    @property
    def path(self) -> str:
        return f"{self.folder}/{self.url.rsplit('/', 1)[1]}"


HUGGING_FACE = "https://huggingface.co/ByteDance/ID-Patch/resolve/main"
FILES = (
    ModelFile("idpatch", f"{HUGGING_FACE}/id-patch.bin", "idpatch", "0.7 GB", "see the model card"),
    ModelFile(
        "controlnet",
        f"{HUGGING_FACE}/ControlNetModel/diffusion_pytorch_model.safetensors",
        "controlnet",
        "5 GB",
        "see the model card",
    ),
    ModelFile(
        "face",
        "https://github.com/xinntao/facexlib/releases/download/v0.1.0/"
        "recognition_arcface_ir_se50.pth",
        "facexlib",
        "0.2 GB",
        "see facexlib",
    ),
    ModelFile(
        "sdxl",
        "https://huggingface.co/stabilityai/stable-diffusion-xl-base-1.0/resolve/main/"
        "sd_xl_base_1.0.safetensors",
        "checkpoints",
        "6.9 GB",
        "CreativeML Open RAIL++-M",
    ),
)
DEFAULT = ("idpatch", "controlnet", "face")


def fetch(
    file: ModelFile, models: Path, on_progress: Callable[[int, int], object] = lambda *_: None
) -> Path:
    """Download a file into its folder below `models` unless it exists, and return its path.

    `on_progress` gets the bytes so far and in total (0 if unknown). Until it is complete the file
    is kept beside its path with the suffix .part. Raises DownloadError.
    """
    path = models / file.path
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    try:
        _receive(file, part, on_progress)
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        raise DownloadError(f"{file.url}: {error}. Run the command again to resume.") from error
    if file.sha256 and sha256(part) != file.sha256:
        part.unlink()
        raise DownloadError(
            f"{file.url}: the download is not the released file (its hash differs). "
            "Run the command again."
        )
    part.rename(path)
    return path


def _receive(file: ModelFile, part: Path, on_progress: Callable[[int, int], object]) -> None:
    done = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(file.url, headers={"User-Agent": "comfyui-id-patch"})
    if done:
        request.add_header("Range", f"bytes={done}-")
    try:
        answer = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        # The part is already complete: there are no bytes left to send.
        if done and error.code == 416 and error.headers["Content-Range"] == f"bytes */{done}":
            return
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
        prog="python -m idpatch_core.download", description="Download the released model files."
    )
    parser.add_argument(
        "--models", type=Path, required=True, help="ComfyUI's models folder, or one like it"
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
            print(f"{options.models / file.path} exists", flush=True)
            continue
        print(f"Downloading {file.url} ({file.size}; licence: {file.licence})", flush=True)
        try:
            path = fetch(file, options.models, on_progress)
        except DownloadError as error:
            print(f"\nerror: {error}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("\nStopped; run the command again to resume", file=sys.stderr)
            return 130
        print(f"\rWrote {path}", flush=True)
    return 0


def _print_progress(done: int, total: int) -> None:
    progress = f"{done / total:4.0%} of {total / 1e9:.1f} GB" if total else f"{done / 1e9:.1f} GB"
    print(f"\r{progress}", end="", flush=True)


if __name__ == "__main__":
    sys.exit(main())
