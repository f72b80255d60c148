import pytest
import torch

SIZE = (24, 16)  # of a latent for 128x192 pixels


@pytest.fixture
def make(comfy):
    """Return the samples that `make_latent` makes of a latent for a hint of 128x192 pixels."""
    image = torch.zeros(1, 3, 192, 128)
    hint = comfy.idpatch_core.canvas.Hint(image, image, (), ())

    def make(latent: dict | None, channels: int = 4) -> dict:
        return comfy.nodes.latents.make_latent(hint, latent, channels)

    return make


def test_without_a_latent_it_is_empty(make):
    for channels in (4, 12):
        assert torch.equal(make(None, channels)["samples"], torch.zeros(1, channels, *SIZE))


def test_a_fitting_latent_is_kept_with_all_that_belongs_to_it(make):
    latent = {"samples": torch.randn(2, 4, *SIZE), "noise_mask": 1, "batch_index": [3, 4]}
    out = make({**latent, "downscale_ratio_spacial": 8, "downscale_ratio_temporal": 4})
    assert out == latent and out["samples"] is latent["samples"]


@pytest.mark.parametrize(
    ("shape", "scale"),
    [((3, 16, 24, 16), 8), ((3, 12, 24, 16), None), ((3, 128, 12, 8), 16), ((3, 64, 1, 6, 4), 32)],
)
def test_an_empty_latent_of_another_model_gives_the_batch(make, shape, scale):
    latent = {"samples": torch.zeros(shape)}
    if scale:
        latent["downscale_ratio_spacial"] = scale
    assert torch.equal(make(latent)["samples"], torch.zeros(3, 4, *SIZE))


def test_one_frame_of_a_video_is_an_image(make):
    samples = torch.randn(2, 4, 1, *SIZE)
    assert torch.equal(make({"samples": samples})["samples"], samples[:, :, 0])


WRONG = {
    "channels": (torch.ones(1, 16, *SIZE), "it has 16 channels, this model's have 4"),
    "frames": (torch.zeros(1, 4, 5, *SIZE), "it holds 5 frames of a video, expected an image"),
    "sound": (torch.ones(1, 64, 100), "its shape is 1x64x100, expected an image's"),
    "nothing": (torch.zeros(0, 4, *SIZE), "its shape is 0x4x24x16, expected an image's"),
    "size": (
        torch.zeros(1, 4, 24, 24),
        "for an image of 192x192 pixels, the hint is 128x192",
    ),
    "empty size": (torch.zeros(1, 16, 24, 24), "it is for an image of 192x192 pixels"),
    "no samples": (None, "it holds no samples"),
}


@pytest.mark.parametrize("name", WRONG)
def test_latents_of_other_models_are_refused(make, name):
    samples, message = WRONG[name]
    with pytest.raises(ValueError, match=f"^latent_image: .*{message}"):
        make({"samples": samples})


def test_a_video_with_its_sound_is_refused(make):
    from comfy.nested_tensor import NestedTensor

    nested = NestedTensor((torch.zeros(1, 4, 1, *SIZE), torch.zeros(1, 8, 10, 16)))
    with pytest.raises(ValueError, match="latent_image: it holds a video with its sound"):
        make({"samples": nested})
