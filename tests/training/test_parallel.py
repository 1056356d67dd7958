"""Two processes learn what one does, and none is left behind when one is lost."""

from __future__ import annotations

import copy
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
import torch

from pixelkin.training.parallel import Team, in_order

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
model = train(scene, preset=options, config=config, log=folder / "log.csv", checkpoint=folder / "state", progress=tell)
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


def test_two_processes_learn_what_one_does_to_the_bit(runs):
    one, two = losses(runs / "1"), losses(runs / "2")
    assert len(one) == len(two) >= 12
    np.testing.assert_array_equal(two, one)
    assert np.ptp(one) > 1e-3  # it did move
    assert len({(runs / name).read_text() for name in ("1/hash-0", "2/hash-0", "2/hash-1")}) == 1


def whole_and_parts(norm: torch.nn.BatchNorm2d, x: torch.Tensor, batch: int) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Output, running statistics and gradients of a network with batch norm and partners: by PyTorch, and in parts."""
    partners = (torch.arange(batch) - torch.tensor([[3], [1]])) % batch
    weights = torch.randn(batch, *x.shape[1:], generator=torch.Generator().manual_seed(1))
    copies = [torch.nn.Sequential(copy.deepcopy(norm)).train() for _ in range(2)]
    outcomes = []
    inputs = [x.clone().requires_grad_() for _ in range(2)]
    out = copies[0](inputs[0])
    loss = ((out + out[partners].square().sum(0)) * weights).mean()
    outcomes.append([out.detach(), *copies[0].buffers(), *torch.autograd.grad(loss, [inputs[0], *copies[0].parameters()])])
    team = Team(torch.device("cpu"), batch)
    team.share(copies[1])

    def work(part):
        mine = inputs[1][part.rows].detach().requires_grad_()
        out = copies[1](mine)
        loss = ((out + part.partners(out, partners).square().sum(0)) * weights[part.rows]).mean() * part.share
        on_x, *others = torch.autograd.grad(loss, [mine, *copies[1].parameters()])
        gathered = part.exchange(torch.stack([out.detach(), on_x], 1), torch.cat)
        return [gathered[:, 0], gathered[:, 1], *(part.exchange(other, in_order) for other in others)]

    out, *gradients = team.run(work)
    team.update_norms()
    team.leave(copies[1])
    assert type(copies[1][0]) is torch.nn.BatchNorm2d
    outcomes.append([out, *copies[1].buffers(), *gradients])
    return outcomes


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("batch", [32, 13])
def test_batch_norm_and_partners_in_parts_are_those_of_the_whole(affine, batch):
    norm = torch.nn.BatchNorm2d(3, affine=affine)
    if affine:
        torch.nn.init.normal_(norm.weight)
        torch.nn.init.normal_(norm.bias)
    x = 5 + 3 * torch.randn(batch, 3, 4, 4, generator=torch.Generator().manual_seed(0)).contiguous(memory_format=torch.channels_last)
    for ours, theirs in zip(*whole_and_parts(norm, x, batch), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_a_part_that_fails_ends_the_others_and_is_the_one_heard():
    team = Team(torch.device("cpu"), 8)

    def work(part):
        if part.rows.start == 4:
            raise ValueError("part three")
        return part.exchange(torch.zeros(1), in_order)

    with pytest.raises(ValueError, match="part three"):
        team.run(work)
    team.close()


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
