"""Does once what every training step would repeat: faces, poses, embeddings, latents, texts.

    python -m idpatch_core.training.prepare SOURCE TARGET --base SDXL --face-model FILE

SOURCE is a folder or WebDataset shards (see sources.py), TARGET is what `data.prepared` of a config
names. Interrupted, the same command goes on where it was. Why pictures were left out is printed,
counted in `report.json` and said for each in `index.jsonl`.
"""

import argparse
import hashlib
import io
import json
import multiprocessing
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors.torch import load_file, save
from torch import Tensor

from ..alignment import align_face
from ..arcface import embed, load_arcface
from ..face_detector import YUNET, Face, load_detector
from ..journal import Journal, read, write_whole
from ..skeleton import Joint
from .data import EMPTY, FACES, FORMAT_VERSION, INDEX, INFO
from .networks import load_vae
from .pose_estimator import SIZES, PoseEstimator, of_faces
from .sources import About, Person, Source, find_sources, read_about
from .text_encoders import load_text_encoders

REPORT = "report.json"
CAPTIONS = 1000  # whose embeddings are kept at hand


class PrepareOptions(NamedTuple):
    """What is taken and how: sizes in pixels of the prepared picture."""

    resolution: int = 1024  # the side of a square picture; others have its area. 0: as they are
    multiple: int = 64  # of which both sides are multiples
    smallest: float = 32.0  # width of a face's box
    most_people: int = 8
    detector: str = YUNET
    poses: str = ""  # rtmlib's models, see `PoseEstimator`; empty: the poses that the JSON gives


DEFAULTS = PrepareOptions()


class PreparedImage(NamedTuple):
    """A picture ready for the networks: pixels (H, W, 3) uint8 and F people."""

    key: str
    caption: str
    pixels: np.ndarray
    time_ids: list[int]
    groups: list[str]
    keypoints: np.ndarray  # (F, 5, 2)
    boxes: np.ndarray  # (F, 4)
    poses: np.ndarray  # (N, 18, 3)
    crops: np.ndarray  # (F, 112, 112, 3) uint8


class Rejected(NamedTuple):
    key: str
    reason: str  # counted in the report
    detail: str


_detectors: dict[str, Any] = {}  # of this process
_estimators: dict[str, PoseEstimator] = {}  # likewise


def look(source: Source, wishes: PrepareOptions) -> PreparedImage | Rejected:
    """Read a picture, find its people, and bring it to its size."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    def no(reason: str, detail: Any = "") -> Rejected:
        return Rejected(source.key, reason, str(detail))

    try:
        about = read_about(source.about)
    except ValueError as error:
        return no("wrong JSON", error)
    try:
        image = ImageOps.exif_transpose(Image.open(io.BytesIO(source.picture.read())))
        pixels = np.array(image.convert("RGB"))
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError) as error:
        return no("unreadable picture", error)
    people = locate(pixels, about, source.key, wishes.detector)
    if isinstance(people, str):
        return no("face not found", people)
    if not people:
        return no("no face")
    if len(people) > wishes.most_people:
        return no("too many people", f"{len(people)}, at most {wishes.most_people}")
    if wishes.poses:
        people = with_poses(pixels, people, wishes.poses)
    pixels, scale, corner = resize(pixels, wishes)
    if pixels is None:
        return no("size", f"{image.width}x{image.height} is no multiple of {wishes.multiple}")
    height, width = pixels.shape[:2]

    keypoints = np.stack([np.asarray(p.keypoints) for p in people]) * scale - corner
    boxes = np.stack([np.asarray(p.box) for p in people]) * scale - np.tile(corner, 2)
    inside = np.all((keypoints >= 0) & (keypoints < [width, height]), axis=(1, 2))
    if not inside.any():
        return no("no face inside the cut", f"{width}x{height}")
    smallest = float((boxes[:, 2] - boxes[:, 0])[inside].min())
    if smallest < wishes.smallest:  # without it, somebody nameless would be in the picture
        return no("face too small", f"{smallest:.0f} pixels, expected {wishes.smallest:.0f}")
    order = [i for i in np.argsort(keypoints[:, 2, 0]) if inside[i]]  # left to right
    poses = [p.pose for p in people if p.pose is not None]
    moved = [pose * [scale, scale, 1] - [*corner, 0] for pose in poses]
    top, left = round(float(corner[1])), round(float(corner[0]))
    return PreparedImage(
        source.key,
        about.caption,
        pixels,
        [image.height, image.width, top, left, height, width],
        [str(people[i].group) for i in order],
        keypoints[order].astype(np.float32),
        boxes[order].astype(np.float32),
        np.stack(moved) if moved else np.zeros((0, len(Joint), 3)),
        np.stack([align_face(pixels, keypoints[i].astype(np.float32)) for i in order]),
    )


def locate(pixels: np.ndarray, about: About, key: str, detector: str) -> list[Person] | str:
    """Return the people with box and keypoints of all of them, or why one has none.

    A person without a group is alone in one of their own.
    """
    known = about.people
    faces: list[Face] = []
    if not known or any(person.keypoints is None for person in known):
        if detector not in _detectors:
            _detectors[detector] = load_detector(detector)
        faces = _detectors[detector].detect(pixels)
    if not known:
        known = [Person(None, np.array(f.box), f.keypoints, None) for f in faces]
    people = []
    for number, person in enumerate(known, start=1):
        group = person.group or f"{key}#{number}"
        box, keypoints = person.box, person.keypoints
        if keypoints is None:
            face = _face_of(person, faces)
            if face is None:
                return f"person {number} ({group}) has no face at the place that the JSON says"
            box, keypoints = np.array(face.box), face.keypoints
        elif box is None:
            box = around(keypoints)
        people.append(Person(group, box, keypoints, person.pose))
    return people


def with_poses(pixels: np.ndarray, people: list[Person], models: str) -> list[Person]:
    """Find the poses of people who have none; who is not found stays without."""
    if all(person.pose is not None for person in people):
        return people
    if models not in _estimators:
        _estimators[models] = PoseEstimator(models)
    found = of_faces(
        _estimators[models].find(pixels), [np.asarray(person.box) for person in people]
    )
    return [
        person if person.pose is not None else person._replace(pose=pose)
        for person, pose in zip(people, found, strict=True)
    ]


def _face_of(person: Person, faces: list[Face]) -> Face | None:
    """Return the face whose middle lies in the person's box, or at their pose's nose."""
    for face in faces:
        x, y = np.mean(face.keypoints, axis=0)
        if person.box is not None:
            left, top, right, bottom = person.box
            if left <= x <= right and top <= y <= bottom:
                return face
        elif person.pose is not None and person.pose[0, 2] > 0:
            left, top, right, bottom = face.box
            if left <= person.pose[0, 0] <= right and top <= person.pose[0, 1] <= bottom:
                return face
        elif len(faces) == 1:
            return face
    return None


def around(keypoints: np.ndarray) -> np.ndarray:
    """Return a face's box (4) from its keypoints (5, 2): twice as large as they spread."""
    low, high = keypoints.min(axis=0), keypoints.max(axis=0)
    centre, half = (low + high) / 2, (high - low).max()
    return np.concatenate([centre - half, centre + half])


def resize(pixels: np.ndarray, wishes: PrepareOptions) -> tuple[Any, float, np.ndarray]:
    """Scale a picture to cover its size and cut the rest off; return it, the scale, the corner.

    The size has the area of `resolution` squared and the picture's shape, in multiples. With a
    resolution of 0 the picture stays as it is, or None is returned if its sides are no multiples.
    """
    from PIL import Image

    height, width = pixels.shape[:2]
    if not wishes.resolution:
        fits = not (height % wishes.multiple or width % wishes.multiple)
        return (pixels if fits else None), 1.0, np.zeros(2)
    shape = (width / height) ** 0.5
    sides = wishes.resolution * shape, wishes.resolution / shape
    wide, tall = (max(round(s / wishes.multiple), 1) * wishes.multiple for s in sides)
    scale = max(wide / width, tall / height)
    size = max(round(width * scale), wide), max(round(height * scale), tall)
    scaled = np.array(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))
    left, top = (size[0] - wide) // 2, (size[1] - tall) // 2
    return scaled[top : top + tall, left : left + wide], scale, np.array([left, top], float)


def looked(
    sources: list[Source], wishes: PrepareOptions, workers: int
) -> Iterator[PreparedImage | Rejected]:
    """Look at pictures in `workers` processes, in order; 0: in this one."""
    if not workers:
        yield from map(partial(look, wishes=wishes), sources)
        return
    # Not forked: OpenCV and torch have threads by now.
    with multiprocessing.get_context("spawn").Pool(workers, _single_thread) as pool:
        yield from pool.imap(partial(look, wishes=wishes), sources, chunksize=4)


def _single_thread() -> None:
    import cv2

    cv2.setNumThreads(1)
    torch.set_num_threads(1)


class Encoders:
    """The base's VAE and text encoders and the face model, on one device."""

    def __init__(self, base: str, face_model: str, device: str):
        self._vae = load_vae(base).to(device)
        self._text = load_text_encoders(base).to(device)
        self._face = load_arcface(face_model).to(device)
        self._device = device
        self.scaling_factor = float(self._vae.config.scaling_factor)
        self._captions: dict[str, dict[str, Tensor]] = {}  # the last ones: many are alike

    @torch.no_grad()
    def caption(self, caption: str) -> dict[str, Tensor]:
        if caption not in self._captions:
            if len(self._captions) >= CAPTIONS:
                self._captions.clear()
            text, pooled = self._text([caption])
            both = {"text": text[0].half().cpu(), "pooled": pooled[0].half().cpu()}
            self._captions[caption] = both
        return dict(self._captions[caption])

    @torch.no_grad()
    def picture(self, found: PreparedImage) -> dict[str, Tensor]:
        pixels = torch.from_numpy(found.pixels).to(self._device)
        image = pixels.permute(2, 0, 1)[None].float() / 127.5 - 1
        latents = self._vae.encode(image).latent_dist
        crops = torch.from_numpy(found.crops)
        return {
            "latent_mean": latents.mean[0].cpu(),
            "latent_std": latents.std[0].half().cpu(),
            **self.caption(found.caption),
            "time_ids": torch.tensor(found.time_ids),
            "keypoints": torch.from_numpy(found.keypoints),
            "boxes": torch.from_numpy(found.boxes),
            "poses": torch.from_numpy(found.poses).float(),
            "crops": crops,
            "embeddings": embed(self._face, crops.to(self._device)).cpu(),
        }


def prepare(
    source: Path,
    target: Path,
    base: str,
    face_model: str,
    wishes: PrepareOptions = DEFAULTS,
    workers: int = 2,
    device: str = "cpu",
) -> dict[str, Any]:
    """Prepare all pictures that are not yet; return the report.

    Raises ValueError if the target was begun with other settings or if nothing could be used.
    """
    from tqdm import tqdm

    settings = {"base": base, "face_model": face_model, **wishes._asdict()}
    info = target / INFO
    if info.is_file():
        before = {**DEFAULTS._asdict(), **json.loads(info.read_text("utf-8"))["settings"]}
        name = next((key for key in settings if settings[key] != before[key]), None)
        if name is not None:
            raise ValueError(
                f"target: {target} was begun with {name} {before[name]!r}, now it is "
                f"{settings[name]!r}. Take another folder, or the old value to go on."
            )
    encoders = Encoders(base, face_model, device)
    write_whole(target / EMPTY, save(encoders.caption("")))
    about = {
        "version": FORMAT_VERSION,
        "settings": settings,
        "scaling_factor": encoders.scaling_factor,
    }
    write_whole(info, json.dumps(about, indent=1).encode())

    sources = find_sources(source)
    done = {record["picture"] for record in read(target / INDEX)}
    left = [item for item in sources if item.key not in done]
    with Journal(target / INDEX) as journal:
        bar = tqdm(looked(left, wishes, workers), total=len(sources), initial=len(done))
        for result in bar:
            if isinstance(result, Rejected):
                journal.append(
                    {"picture": result.key, "rejected": result.reason, "detail": result.detail}
                )
                continue
            name = hashlib.sha256(result.key.encode()).hexdigest()[:32]
            file = f"pictures/{name[:2]}/{name}.safetensors"
            tensors = {k: t.contiguous() for k, t in encoders.picture(result).items()}
            write_whole(target / file, save(tensors))
            height, width = result.pixels.shape[:2]
            record = {"file": file, "width": width, "height": height, "people": result.groups}
            journal.append({"picture": result.key, **record})
    return finish(target)


def finish(target: Path) -> dict[str, Any]:
    """Gather the face features of all pictures in one file and write the report."""
    records = read(target / INDEX)
    taken = [record for record in records if "file" in record]
    rejected = Counter(record["rejected"] for record in records if "rejected" in record)
    groups = Counter(group for record in taken for group in record["people"])
    report = {
        "pictures": len(records),
        "taken": len(taken),
        "faces": sum(groups.values()),
        "people": len(groups),
        "people_with_one_photograph": sum(count == 1 for count in groups.values()),
        "rejected": dict(rejected.most_common()),
    }
    write_whole(target / REPORT, json.dumps(report, indent=1).encode())
    if not taken:
        raise ValueError(f"source: none of {len(records)} pictures can be used: {dict(rejected)}.")
    embeddings = [load_file(target / record["file"])["embeddings"] for record in taken]
    write_whole(target / FACES, save({"embeddings": torch.cat(embeddings)}))
    return report


def lines(report: dict[str, Any]) -> Iterable[str]:
    yield f"{report['taken']} of {report['pictures']} pictures taken"
    alone = report["people_with_one_photograph"]
    yield f"{report['faces']} faces of {report['people']} people, {alone} with one photograph only"
    for reason, count in report["rejected"].items():
        yield f"rejected, {reason}: {count}"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m idpatch_core.training.prepare",
        description="Finds faces, poses, embeddings, latents and text embeddings, once.",
    )
    default = DEFAULTS
    parser.add_argument("source", type=Path, help="a folder, or a .tar shard")
    parser.add_argument("target", type=Path, help="the prepared folder")
    parser.add_argument("--base", required=True, help="SDXL as a diffusers folder")
    parser.add_argument("--face-model", required=True, help="IR-SE50 file, as at inference")
    parser.add_argument("--resolution", type=int, default=default.resolution, help="0: as it is")
    parser.add_argument("--multiple", type=int, default=default.multiple)
    parser.add_argument("--smallest", type=float, default=default.smallest, help="face, pixels")
    parser.add_argument("--most-people", type=int, default=default.most_people)
    parser.add_argument("--detector", default=default.detector, help="YuNet, or a directory")
    parser.add_argument(
        "--poses",
        default=default.poses,
        help=f"find poses with rtmlib's models: {', '.join(SIZES)}, or a folder of your own",
    )
    parser.add_argument("--workers", type=int, default=2, help="processes that look for faces")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args(arguments)
    wishes = PrepareOptions(
        options.resolution,
        options.multiple,
        options.smallest,
        options.most_people,
        options.detector,
        options.poses,
    )
    try:
        report = prepare(
            options.source,
            options.target,
            options.base,
            options.face_model,
            wishes,
            options.workers,
            options.device,
        )
    except (ValueError, ImportError) as error:
        print(error, file=sys.stderr)
        return 1
    print("\n".join(lines(report)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
