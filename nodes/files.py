"""Files of the nodes: models under ``models/liquid_warping``, motions under ``input``.

Names come from outside. The server checks them against the lists below; whatever reaches a node
is looked up again inside its folder.
"""

from __future__ import annotations

import math
import os
from pathlib import Path

import folder_paths

from ..lwg_core.errors import InputError

FOLDER = "liquid_warping"
BUILT_IN = "built-in"
GENERATORS = (".safetensors", ".pth")
BODY_MODELS = (".npz", ".pkl")
REGRESSORS = (".pt", ".pth", ".safetensors")
MOTIONS = (".npz", ".pkl", ".pt", ".pth", ".json", ".bvh")


def register_folders() -> None:
    """Models are read from models/liquid_warping and from what the save node writes."""
    for root in (folder_paths.models_dir, folder_paths.get_output_directory()):
        folder_paths.add_model_folder_path(FOLDER, os.path.join(root, FOLDER))
    folder_paths.folder_names_and_paths[FOLDER][1].update(GENERATORS + BODY_MODELS + REGRESSORS)


def model_files(extensions: tuple[str, ...]) -> list[str]:
    return [f for f in folder_paths.get_filename_list(FOLDER) if f.lower().endswith(extensions)]


def model_path(name: str) -> str:
    path = folder_paths.get_full_path(FOLDER, name)
    if path is None:
        raise InputError(f"file {name!r} is not in models/{FOLDER}")
    return path


def changed(name: str) -> tuple:
    """A fingerprint of a model file: the node runs again when it was replaced."""
    path = folder_paths.get_full_path(FOLDER, name)
    return (name,) if path is None else (name, os.path.getmtime(path), os.path.getsize(path))


def input_files(extensions: tuple[str, ...]) -> list[str]:
    """Files in the input folder and its subfolders, as names with forward slashes."""
    found, _ = folder_paths.recursive_search(folder_paths.get_input_directory())
    return sorted(f.replace(os.sep, "/") for f in found if f.lower().endswith(extensions))


def input_path(name: str) -> str:
    root = Path(os.path.abspath(folder_paths.get_input_directory()))
    path = Path(os.path.abspath(root / name))
    if not path.is_relative_to(root) or not path.is_file():
        raise InputError(f"file {name!r} is not in the input folder")
    return str(path)


def finite(name: str, value: float) -> float:
    """The server lets NaN pass every minimum and maximum."""
    if not math.isfinite(value):
        raise InputError(f"{name} must be a finite number; got {value}")
    return value


def new_output_file(prefix: str, suffix: str) -> tuple[str, str]:
    """Path of a new file output/liquid_warping/<prefix>_00001_<suffix>, and its name there."""
    if (problem := inside_output(prefix)) is not True:
        raise InputError(problem)
    root = os.path.join(folder_paths.get_output_directory(), FOLDER)
    folder, stem, number, _, _ = folder_paths.get_save_image_path(prefix, root)
    path = os.path.join(folder, f"{stem}_{number:05}_{suffix}")
    return path, os.path.relpath(path, root)


def inside_output(prefix: str) -> bool | str:
    """True, or why a file of this prefix cannot be written under output/liquid_warping."""
    root = Path(os.path.abspath(folder_paths.get_output_directory())) / FOLDER
    path = Path(os.path.abspath(root / prefix))
    if not path.is_relative_to(root) or path == root:
        return f"{prefix!r} must be a file name inside the folder output/{FOLDER}"
    return True
