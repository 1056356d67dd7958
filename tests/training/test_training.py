"""Algorithm 1: it learns, repeats itself to the bit, survives a kill, and says what is wrong with the imagery."""

from __future__ import annotations

import csv
import datetime as dt
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from pixelkin.errors import InputError, ModelError, TrainingError
from pixelkin.model import ModelConfig, ObjectiveOptions
from pixelkin.model.checkpoint import read_file, write_file
from pixelkin.scene import ArrayScene, Series
from pixelkin.training import PRESETS, TrainingOptions, learning_rate, pick_device, train

OPTIONS = TrainingOptions(
    steps=6, batch_size=32, learning_rate=1e-3, schedule="one-cycle", objective=ObjectiveOptions(negatives=2, positions=4)
)


@pytest.fixture(scope="module")
def scene() -> ArrayScene:
    """Smooth hills in two bands: every place looks different, neighbours alike."""
    rng = np.random.default_rng(1)
    hills = gaussian_filter(rng.standard_normal((2, 60, 70)), (0, 5, 5))
    return ArrayScene((100 + 400 * hills + rng.standard_normal((2, 60, 70))).astype(np.float32), name="hills")


def config(scene: ArrayScene) -> ModelConfig:
    return ModelConfig(bands=scene.bands, patch_size=7, z_dim=4, widths=(8, 8, 8), critic_width=8, critic_dim=4)


def fit(scene, **changes):
    options = replace(OPTIONS, **{key: value for key, value in changes.items() if key in TrainingOptions.__dataclass_fields__})
    rest = {key: value for key, value in changes.items() if key not in TrainingOptions.__dataclass_fields__}
    return train(scene, preset=options, config=config(scene), device="cpu", **rest)


def test_learning_raises_mutual_information(scene):
    told = []
    fit(scene, steps=150, progress=told.append)
    first, last = np.mean([p.local_mi for p in told[:5]]), np.mean([p.local_mi for p in told[-5:]])
    blind = -2 * np.log(2) * 9 * 2
    assert first == pytest.approx(blind, rel=0.1), "untrained critics know nothing"
    assert last > 0.9 * blind, "trained ones tell pairs from non-pairs"
    assert [p.step for p in told] == list(range(1, 151))
    assert told[-1].seconds_left == 0


def test_the_same_seed_gives_the_same_bits_and_another_seed_does_not(scene):
    assert fit(scene).hash == fit(scene).hash
    assert fit(scene).hash != fit(scene, seed=1).hash


def test_any_number_of_threads_gives_the_same_bits(scene):
    before = torch.get_num_threads()
    hashes = set()
    try:
        for threads in (1, 2, 3, 7):
            torch.set_num_threads(threads)
            hashes.add(fit(scene, batch_size=30).hash)
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert len(hashes) == 1


class KilledError(Exception):
    """Stands for a kill between two steps."""


@pytest.mark.parametrize("stop_at", [57, 100])
def test_a_killed_run_goes_on_with_the_same_bits(scene, tmp_path, stop_at):
    uninterrupted = fit(scene, steps=110, log=tmp_path / "whole.csv")

    def kill(progress):
        if progress.step == stop_at:
            raise KilledError

    with pytest.raises(KilledError):
        fit(scene, steps=110, checkpoint=tmp_path / "run.ckpt", log=tmp_path / "resumed.csv", progress=kill)
    steps_after = []
    resumed = fit(
        scene, steps=110, checkpoint=tmp_path / "run.ckpt", log=tmp_path / "resumed.csv", progress=lambda p: steps_after.append(p.step)
    )
    assert steps_after[0] == stop_at // 50 * 50 + 1
    assert resumed.hash == uninterrupted.hash

    def losses(path: Path) -> list[tuple[str, str]]:
        with path.open(newline="") as file:
            return [(row["step"], row["loss"]) for row in csv.DictReader(file)]

    assert losses(tmp_path / "resumed.csv") == losses(tmp_path / "whole.csv")


def test_ctrl_c_keeps_every_step(scene, tmp_path):
    def interrupt(progress):
        if progress.step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(scene, checkpoint=tmp_path / "run.ckpt", progress=interrupt)
    steps_after = []
    assert fit(scene, checkpoint=tmp_path / "run.ckpt", progress=lambda p: steps_after.append(p.step)).hash == fit(scene).hash
    assert steps_after == [4, 5, 6]


def test_a_checkpoint_of_other_options_is_refused(scene, tmp_path):
    fit(scene, checkpoint=tmp_path / "run.ckpt")
    with pytest.raises(ModelError, match=r"run\.ckpt is of another run \(different options\)\. Delete it"):
        fit(scene, steps=7, checkpoint=tmp_path / "run.ckpt")


def test_a_run_of_a_constant_rate_goes_on_for_more_steps_but_not_back(scene, tmp_path):
    whole = fit(scene, schedule="constant", steps=9)
    path = tmp_path / "run.ckpt"
    for steps in (3, 7, 9):
        model = fit(scene, schedule="constant", steps=steps, checkpoint=path)
        assert model.info["options"]["steps"] == steps
    assert model.hash == whole.hash
    with pytest.raises(ModelError, match=r"run\.ckpt has 9 steps, expected at most the 5 asked for"):
        fit(scene, schedule="constant", steps=5, checkpoint=path)


def test_a_checkpoint_of_other_imagery_is_refused(scene, tmp_path):
    fit(scene, checkpoint=tmp_path / "run.ckpt")
    with pytest.raises(ModelError, match="different scenes"):
        fit(ArrayScene(scene.data + 1, name=scene.name), checkpoint=tmp_path / "run.ckpt")


def test_a_constant_band_is_named(scene):
    data = scene.data.copy()
    data[1] = 7
    with pytest.raises(TrainingError, match=r"band 'swir' is constant \(7\) over the valid pixels"):
        train(ArrayScene(data, bands=("red", "swir")), steps=1)


def test_too_little_valid_imagery(scene):
    with pytest.raises(TrainingError, match=r"too little valid imagery: 16 pixels for 7 x 7 patches, expected at least 32"):
        fit(ArrayScene(scene.data[:, :10, :10]))
    with pytest.raises(TrainingError, match="all pixels of 1 source"):
        fit(ArrayScene(np.full((2, 30, 30), np.nan, np.float32)))
    with pytest.raises(TrainingError, match="no imagery to train on"):
        train([])


def test_a_loss_that_is_not_finite_stops_with_the_step(scene):
    with pytest.raises(TrainingError, match=r"the loss is (nan|inf) at step \d+, expected a finite number\. Lower the learning rate"):
        fit(scene, steps=30, learning_rate=1e30)


def test_scenes_of_other_bands_are_refused(scene):
    other = ArrayScene(scene.data, bands=("red", "nir"), name="other")
    with pytest.raises(TrainingError, match=r"other has bands \['red', 'nir'\], expected \['band_1', 'band_2'\]"):
        train([scene, other])


def test_a_checkpoint_of_a_version_that_knew_fewer_options_is_continued(scene, tmp_path):
    def kill(progress):
        if progress.step == 60:
            raise KilledError

    path = tmp_path / "run.ckpt"
    with pytest.raises(KilledError):
        fit(scene, steps=70, checkpoint=path, progress=kill)
    tensors, header = read_file(path, "checkpoint")
    del header["identity"]["options"]["views"]["reach"], header["identity"]["options"]["objective"]["partners"]
    write_file(path, "checkpoint", tensors, header, overwrite=True)
    assert fit(scene, steps=70, checkpoint=path).hash == fit(scene, steps=70).hash


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"preset": OPTIONS, "steps": 7}, r"steps is 7, the TrainingOptions given as preset have 6, expected one of them"),
        ({"preset": OPTIONS, "seed": 3}, r"seed is 3, the TrainingOptions given as preset have 0"),
        ({"patch_size": 9}, r"patch_size is 9, config has 7, expected one of them"),
        ({"critic": "concatenated"}, r"critic is 'concatenated', config has 'separable'"),
        ({"steps": 0}, r"steps is 0, expected a whole number >= 1"),
    ],
)
def test_arguments_that_contradict_each_other_are_refused_before_any_work(scene, given, message):
    with pytest.raises(InputError, match=message):
        train(scene, config=config(scene), **given)


def test_unknown_preset_and_device(scene):
    with pytest.raises(InputError, match=r"preset is 'quick', expected one of \['fast', 'paper'\] or TrainingOptions"):
        train(scene, preset="quick")
    with pytest.raises(InputError, match="device is 'tpu', expected auto, cpu, cuda or mps"):
        pick_device("tpu")


@pytest.mark.parametrize(
    ("cuda", "mps", "expected"), [(False, False, "cpu"), (True, False, "cuda"), (False, True, "mps"), (True, True, "cuda")]
)
def test_auto_takes_the_quickest_device(monkeypatch, cuda, mps, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert pick_device("auto").type == expected
    if not cuda:
        with pytest.raises(InputError, match="device 'cuda' is not available here"):
            pick_device("cuda")


def test_the_paper_preset_is_the_papers():
    paper = PRESETS["paper"]
    assert (paper.learning_rate, paper.batch_size, paper.schedule) == (1e-4, 512, "constant")
    assert (paper.objective.alpha, paper.objective.beta, paper.objective.gamma) == (0.5, 1.0, 0.1)
    assert (paper.objective.positions, paper.objective.negatives, paper.objective.swap) == (None, 1, True)


def test_the_one_cycle_rate_rises_to_its_peak_and_falls():
    options = replace(OPTIONS, steps=100)
    rates = [learning_rate(options, step) for step in range(100)]
    assert np.argmax(rates) == 25
    assert max(rates) == pytest.approx(1e-3)
    assert rates[0] < 1e-4
    assert rates[-1] < 1e-5


def test_large_imagery_is_sampled_within_the_budget():
    """Windows of a large series are the same place on every date, so that dates still pair."""
    import pixelkin.training as training

    rng = np.random.default_rng(0)
    dates = [ArrayScene(rng.standard_normal((1, 700, 900)).astype(np.float32), name=str(k), date=dt.date(2020, 1, k + 1)) for k in range(2)]
    options = replace(OPTIONS, max_pixels=600_000)
    pool, _ = training.load_pool(Series(tuple(dates)), ModelConfig(bands=dates[0].bands, patch_size=7), options)
    assert len(pool.pixels) <= 600_000
    assert pool.sibling_count.tolist() == [1] * len(pool.width)
    assert (pool.siblings[:, 0] != torch.arange(len(pool.width))).all()


@pytest.mark.parametrize("name", ["fast", "paper"])
def test_the_model_knows_its_preset_by_what_ran(scene, name):
    shape = config(scene)
    preset = PRESETS[name]
    assert train(scene, preset=name, steps=1, seed=3, config=shape, device="cpu").info["preset"] == name
    assert train(scene, preset=replace(preset, steps=1, seed=2), config=shape, device="cpu").info["preset"] == name
    assert train(scene, preset=replace(preset, steps=1, batch_size=64), config=shape, device="cpu").info["preset"] == "custom"


def test_the_model_remembers_how_it_came_to_be(scene):
    model = fit(scene)
    assert model.info["preset"] == "custom"
    assert model.info["device"] == "cpu"
    assert not model.info["date_pairs"], "one date has no pairs, whatever the options allow"
    later = ArrayScene(scene.data + 1, name="later", date=dt.date(2020, 2, 1))
    series = Series((ArrayScene(scene.data, name="hills", date=dt.date(2020, 1, 1)), later))
    assert train(series, preset=OPTIONS, config=config(scene), device="cpu").info["date_pairs"]
    assert model.info["options"]["steps"] == 6
    assert model.info["scenes"] == ["hills"]
    assert set(model.info["versions"]) == {"pixelkin", "torch", "numpy"}
