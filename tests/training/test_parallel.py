"""Two processes learn what one does, and none is left behind when one is lost."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

SCRIPT = """
import os, pathlib, sys, time
import numpy as np
import torch
torch.set_num_threads(1)
import pixelkin as pk
from dataclasses import replace
from pixelkin.model import ModelConfig
from pixelkin.training import PRESETS, train
folder = pathlib.Path(sys.argv[1])
rng = np.random.default_rng(0)
image = np.kron(rng.integers(20, 200, (3, 16, 16)), np.ones((8, 8))) + rng.normal(0, 9, (3, 128, 128))
scene = pk.ArrayScene(image.astype(np.float32))
options = replace(PRESETS["fast"], steps=int(sys.argv[2]), batch_size=32, max_pixels=int(sys.argv[3]))
config = ModelConfig(bands=scene.bands, patch_size=9, widths=(8, 12, 8))
def tell(progress):
    (folder / f"{os.environ.get('RANK', '0')}.pid").write_text(str(os.getpid()))
model = train(scene, options=options, config=config, log=folder / "log.csv", checkpoint=folder / "state", progress=tell)
(folder / f"hash-{os.environ.get('RANK', '0')}").write_text(model.hash)
"""


def launch(folder: Path, steps: int, processes: int, max_pixels: int = 16_000_000) -> subprocess.Popen[str]:
    folder.mkdir(exist_ok=True)
    script = folder / "learn.py"
    script.write_text(SCRIPT)
    torchrun = [
        "-m",
        "torch.distributed.run",
        "--nproc-per-node",
        str(processes),
        "--rdzv-backend",
        "c10d",
        "--rdzv-endpoint",
        "127.0.0.1:0",
    ]
    command = [sys.executable, *(torchrun if processes > 1 else []), str(script), str(folder), str(steps), str(max_pixels)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment)


def losses(folder: Path) -> np.ndarray:
    with (folder / "log.csv").open() as file:
        return np.array([float(row["loss"]) for row in csv.DictReader(file)])


# All of the 128 x 128 image, or windows of it, of which some are renewed before step 26.
@pytest.fixture(scope="module", params=[(12, 16_000_000), (30, 10_000)], ids=["whole", "windows"])
def runs(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("parallel")
    for processes in (1, 2):
        run = launch(folder / str(processes), request.param[0], processes, request.param[1])
        _, errors = run.communicate(timeout=300)
        assert run.returncode == 0, errors
    return folder


def test_two_processes_follow_the_loss_of_one(runs):
    one, two = losses(runs / "1"), losses(runs / "2")
    assert len(one) == len(two) >= 12
    np.testing.assert_allclose(two, one, rtol=1e-4)
    assert np.ptp(one) > 1e-3  # it did move


def test_all_processes_return_the_same_model(runs):
    assert (runs / "2" / "hash-0").read_text() == (runs / "2" / "hash-1").read_text()


def test_a_lost_process_ends_all_with_a_message_and_the_run_goes_on(tmp_path):
    run = launch(tmp_path, 100_000, 2)
    deadline = time.monotonic() + 240
    while not (tmp_path / "state").exists() and time.monotonic() < deadline:
        time.sleep(0.2)
    children = psutil.Process(run.pid).children(recursive=True)
    victim = next(child for child in children if child.environ().get("RANK") == "1")
    victim.send_signal(signal.SIGKILL)
    _, errors = run.communicate(timeout=120)
    assert run.returncode != 0
    assert "SIGKILL" in errors or "lost contact with another" in errors
    psutil.wait_procs(children, timeout=10)
    assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
    done = len(losses(tmp_path))
    assert done >= 50


def test_the_command_under_torchrun_writes_one_model(tmp_path):
    import rasterio

    image = np.random.default_rng(0).integers(1, 255, (3, 96, 96)).astype(np.uint8)
    with rasterio.open(tmp_path / "image.tif", "w", driver="GTiff", height=96, width=96, count=3, dtype="uint8", crs="EPSG:32631",
                       transform=rasterio.Affine(10, 0, 0, 0, -10, 0)) as file:  # fmt: skip
        file.write(image)
    torchrun = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--rdzv-backend", "c10d", "--rdzv-endpoint", "127.0.0.1:0"]
    command = ["-m", "pixelkin", "train", str(tmp_path / "image.tif"), "-o", str(tmp_path / "model.safetensors"), "--steps", "2"]
    run = subprocess.run([sys.executable, *torchrun, *command], capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert run.returncode == 0, run.stderr
    assert run.stdout.count("model.safetensors: model") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["image.tif", "model.safetensors"]
