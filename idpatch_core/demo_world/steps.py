"""The steps that make a world, one function each; each leaves out what its folder holds already.

FOLDER/
    scenes/       training, more and evaluation: the images and their JSON
    faces/        detector.onnx, conditioning.safetensors, scoring.safetensors
    base/         VAE, tokenizers, text encoders, UNet, in diffusers' layout
    latents/      the scenes as the base model's training reads them
    prepared/     the scenes as `idpatch_core.training` reads them
    stage1/ stage2/ stage3/     runs of `idpatch_core.training`, each with its export/
    figures.json  what the model card reports
"""

from pathlib import Path

from ..arcface import load_arcface
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
from .world import CanvasSettings, Range, World


def make_scenes(folder: Path, world: World) -> None:
    """Draw the scenes that the first networks are trained on, and those of the evaluation."""
    each_number = tuple(range(1, len(world.large_canvas.shares) + 1))
    _draw_set(folder, world, "training", world.seed, world.canvas)
    _draw_set(folder, world, "evaluation", world.seed, world.large_canvas, each_number)


def make_more_scenes(folder: Path, world: World) -> None:
    _draw_set(folder, world, "more", world.seed + 1, world.large_canvas)


def _draw_set(
    folder: Path,
    world: World,
    name: str,
    seed: int,
    canvas: CanvasSettings,
    counts: tuple[int, ...] = (0,),
) -> None:
    people: Range = getattr(world.people, name if name != "training" else "scenes")
    images, target = getattr(world.images, name), folder / "scenes" / name
    write_scenes(target, images, *people, seed, world.workers, counts, canvas)


def make_detector(folder: Path, world: World) -> None:
    scenes = folder / "scenes" / "training"
    detector = train_face_detector(
        folder / "faces" / "detector.onnx",
        SceneFaces(scenes, load_scenes(scenes), world.detector.scales),
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
    steps = {"conditioning": settings.conditioning_steps or settings.steps}
    for index, name in enumerate(("conditioning", "scoring")):
        file = faces / f"{name}.safetensors"
        if not file.is_file():
            people: Range = getattr(world.people, name)
            train_face_encoder(
                file,
                draw_crops(faces / f"{name}.crops", *people, settings.each, world.workers),
                list(getattr(settings, name)),
                steps.get(name, settings.steps),
                settings.batch,
                world.seed + index,
                world.precision,
            )
        network = load_arcface(file)
        accuracy = measure_accuracy(network, unseen)
        print(f"{name} encoder: {accuracy:.1%} of {len(unseen)} unseen people recognised")
        record_figures(folder, name, {"top_one": accuracy, "of": len(unseen)})


def make_vae(folder: Path, world: World) -> None:
    vae = train_vae.train_vae(
        folder / "base" / "vae",
        load_scenes(folder / "scenes" / "training"),
        world.vae,
        world.seed,
        world.precision,
    )
    psnr = train_vae.measure_psnr(vae, load_scenes(folder / "scenes" / "evaluation")[:64])
    print(f"VAE: {psnr:.1f} dB on other people")
    record_figures(folder, "vae", {"psnr": psnr})


def make_base_model(folder: Path, world: World) -> None:
    names = ("training", "more") if world.base.large_share else ("training",)
    sets = [load_latents(folder, name, world.precision) for name in names]
    train_base.train_base(folder / "base", sets, world.base, world.seed, world.precision)


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
    "more": make_more_scenes,
    "base": make_base_model,
    "prepare": prepare_scenes,
}
