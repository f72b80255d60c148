"""Folders of face models, and the Face Model of a file."""

from pathlib import Path

import torch


def add_folder(name: str, path: Path):
    """Search a folder for a kind of model, first of all, as long as the fixture lives."""
    import folder_paths

    searched = folder_paths.folder_names_and_paths[name][0]
    searched.insert(0, str(path))
    folder_paths.filename_list_cache.pop(name, None)
    yield path
    searched.remove(str(path))
    folder_paths.filename_list_cache.pop(name, None)


@torch.inference_mode()
def load(comfy, recognition, detector="yunet"):
    return comfy.nodes.faces.IDPatchLoadFaceModel.execute(recognition, detector).args[0]
