from __future__ import annotations

import json

import numpy as np
import pytest

from thinfile.artifact.folder import save
from thinfile.errors import ArtifactError
from thinfile.latent_map.folder import load_map, save_map


@pytest.fixture
def folder(made, tmp_path):
    return save_map(made, tmp_path / "map")


def test_a_map_comes_back_whole(made, folder):
    again = load_map(folder)
    for name in ("rows", "label", "neighbours", "distances", "positions"):
        np.testing.assert_array_equal(getattr(again, name), getattr(made, name))
    assert again.frame.equals(made.frame)
    assert (again.ids, again.roles, again.settings) == (made.ids, made.roles, made.settings)
    assert again.layout.method == "tsne"


def test_nothing_in_it_is_pickled(folder):
    assert sorted(p.name for p in folder.iterdir()) == [
        "columns.parquet",
        "manifest.json",
        "map.safetensors",
    ]
    json.loads((folder / "manifest.json").read_text())


def test_a_folder_is_never_overwritten(made, folder):
    with pytest.raises(ArtifactError, match="exists; name a folder that does not"):
        save_map(made, folder)


@pytest.mark.parametrize("name", ["map.safetensors", "columns.parquet"])
def test_damage_is_noticed(folder, name):
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(bytes(content))
    with pytest.raises(ArtifactError, match=f"{name} is not the file that was saved"):
        load_map(folder)
    (folder / name).unlink()
    with pytest.raises(ArtifactError, match=f"{name} is missing"):
        load_map(folder)


def test_other_folders_are_no_maps(tmp_path, model):
    with pytest.raises(ArtifactError, match="no such folder"):
        load_map(tmp_path / "nothing")
    with pytest.raises(ArtifactError, match=r"it has no manifest\.json"):
        load_map(tmp_path)
    artifact = save(model, tmp_path / "model")
    with pytest.raises(ArtifactError, match="is no map of this format"):
        load_map(artifact)
