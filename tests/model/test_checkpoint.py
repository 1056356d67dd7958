"""Model files: the same bits back, and a clear word for anything else."""

from __future__ import annotations

import errno
import json
import struct

import pytest
import torch
from tests.networks import random_model

from pixelkin import files
from pixelkin.errors import MissingFileError, ModelError, OutputError
from pixelkin.model import checkpoint, load_model


def test_a_model_comes_back_with_its_hash(tmp_path):
    model = random_model()
    model.save(tmp_path / "model.safetensors")
    loaded = load_model(tmp_path / "model.safetensors")
    assert loaded.hash == model.hash
    assert loaded.config == model.config
    x = torch.randn(3, 30, 30)
    for ours, theirs in zip(model.embed(x), loaded.embed(x), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def test_other_weights_have_another_hash():
    assert random_model(seed=1).hash != random_model(seed=2).hash


def test_a_truncated_file_is_refused(tmp_path):
    path = random_model().save(tmp_path / "model.safetensors")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ModelError, match="damaged or not a safetensors file"):
        load_model(path)


def test_a_flipped_bit_is_noticed(tmp_path):
    path = random_model().save(tmp_path / "model.safetensors")
    content = bytearray(path.read_bytes())
    content[-7] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"weights of hash .* its header says"):
        load_model(path)


def test_a_newer_version_is_refused_by_name(tmp_path):
    path = random_model().save(tmp_path / "model.safetensors")
    content = path.read_bytes()
    (size,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + size])
    ours = json.loads(header["__metadata__"]["pixelkin"])
    header["__metadata__"]["pixelkin"] = json.dumps({**ours, "version": 99})
    new = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(new)) + new + content[8 + size :])
    with pytest.raises(ModelError, match=r"layout version 99, this pixelkin reads up to 1\. Use a newer pixelkin"):
        load_model(path)


def test_weights_that_do_not_fit_are_refused(tmp_path):
    checkpoint.write_file(
        tmp_path / "m.safetensors", "model", {"a": torch.zeros(1)}, {"config": random_model().config.to_json(), "info": {}}, overwrite=False
    )
    with pytest.raises(ModelError, match="does not hold the weights its header announces"):
        load_model(tmp_path / "m.safetensors")


def test_a_missing_model_is_named(tmp_path):
    with pytest.raises(MissingFileError, match=r"gone\.safetensors is not there, expected a pixelkin model"):
        load_model(tmp_path / "gone.safetensors")


def test_a_full_disk_leaves_nothing_behind(tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OutputError, match=r"model\.safetensors cannot be written: No space left on device"):
        random_model().save(tmp_path / "model.safetensors")
    assert list(tmp_path.iterdir()) == []
