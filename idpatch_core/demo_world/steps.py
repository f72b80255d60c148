"""The steps that make a world, one function each; each leaves out what its folder holds already.

FOLDER/
    scenes/       training, more and evaluation: the images and their JSON
    faces/        detector.onnx, conditioning.safetensors, scoring.safetensors
    base/         VAE, tokenizers, text encoders, UNet, in diffusers' layout
    latents.safetensors
    prepared/     the scenes as `idpatch_core.training` reads them
    stage1/ stage2/ stage3/     runs of `idpatch_core.training`, each with its export/
    figures.json  what the model card reports
"""

from pathlib import Path

from ..training.find_people import PrepareOptions
from ..training.prepare import prepare_images
from . import train_base, train_vae
from .crops import draw_crops
from .face_batches import SceneFaces
from .files import load_scenes, record_figures
from .latents import load_latents
from .scenes import write_scenes
from .train_detector import evaluate_detector, train_face_detector
from .train_encoder import measure_accuracy, train_face_encoder
from .world import Range, World


def make_scenes(folder: Path, world: World) -> None:
    sets: dict[str, tuple[Range, int, tuple[int, ...]]] = {
        "training": (world.people.scenes, world.seed, (0,)),
        "more": (world.people.more, world.seed + 1, (0,)),
        "evaluation": (world.people.evaluation, world.seed, (1, 2, 3, 4)),
    }
    for name, (people, seed, counts) in sets.items():
        images = getattr(world.images, name)
        write_scenes(folder / "scenes" / name, images, *people, seed, world.workers, counts)


def make_detector(folder: Path, world: World) -> None:
    scenes = folder / "scenes" / "training"
    detector = train_face_detector(
        folder / "faces" / "detector.onnx",
        SceneFaces(scenes, load_scenes(scenes)),
        *world.people.scenes,
        world.detector.steps,
        world.detector.batch,
        world.seed,
    )
    found, error = evaluate_detector(detector, *world.people.evaluation)
    print(f"detector: finds {found:.1%} of unseen people, keypoints {error:.1%} of the eyes' off")
    record_figures(folder, "detector", {"found": found, "off": error})


def make_face_encoders(folder: Path, world: World) -> None:
    faces, settings = folder / "faces", world.faces
    unseen = draw_crops(faces / "unseen.crops", *world.people.evaluation, 2, world.workers)
    for index, name in enumerate(("conditioning", "scoring")):
        people: Range = getattr(world.people, name)
        network = train_face_encoder(
            faces / f"{name}.safetensors",
            draw_crops(faces / f"{name}.crops", *people, settings.each, world.workers),
            list(getattr(settings, name)),
            settings.steps,
            settings.batch,
            world.seed + index,
            world.precision,
        )
        accuracy = measure_accuracy(network, unseen)
        print(f"{name} encoder: {accuracy:.1%} of {len(unseen)} unseen people recognised")
        record_figures(folder, name, {"top_one": accuracy, "of": len(unseen)})


def make_vae(folder: Path, world: World) -> None:
    vae = train_vae.train_vae(
        folder / "base" / "vae",
        load_scenes(folder / "scenes" / "training"),
        world.vae.channels,
        world.vae.steps,
        world.vae.batch,
        world.seed,
        world.precision,
    )
    psnr = train_vae.measure_psnr(vae, load_scenes(folder / "scenes" / "evaluation")[:64])
    print(f"VAE: {psnr:.1f} dB on other people")
    record_figures(folder, "vae", {"psnr": psnr})


def make_base_model(folder: Path, world: World) -> None:
    latents, captions = load_latents(folder, world.precision)
    train_base.train_base(
        folder / "base",
        latents,
        captions,
        world.base.steps,
        world.base.batch,
        world.seed,
        world.precision,
    )


def prepare_scenes(folder: Path, world: World) -> None:
    options = PrepareOptions(resolution=0, multiple=32, min_face_width=24)
    models = str(folder / "base"), str(folder / "faces" / "conditioning.safetensors")
    for name in vars(world.images):
        target = folder / "prepared" / name
        prepare_images(folder / "scenes" / name, target, *models, options, world.workers)


STEPS = {
    "scenes": make_scenes,
    "detector": make_detector,
    "faces": make_face_encoders,
    "vae": make_vae,
    "base": make_base_model,
    "prepare": prepare_scenes,
}
