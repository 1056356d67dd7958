"""What a trained T says: is it calibrated, where, and does it order pairs of pixels by class better than L1 does?

    python -m benchmarks.critic --cache CACHE      # the baseline of `reproduce table3 --budget medium` on dubai, seed 0
    python -m benchmarks.critic --cache CACHE --steps 500 --seed 1 --row "unpaired from the same image"

Up to 300 labelled pixels of each of the 24 scored crops. A true pair is a patch and its own representation; an unpaired one has the
representation of another pixel, of any crop or of the same. Calibrated means: of the pairs to which sigmoid(T) gives p, a share p is
true, where half of all are. A window is mixed where over a fifth of its pixels are of another class than its centre.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor
from torch.nn.functional import softplus

from pixelkin.experiments.datasets import open_data
from pixelkin.experiments.encoders import ABLATIONS, VARIANTS
from pixelkin.experiments.protocol import BUDGETS, Runner

from .similarity import DATA

Ask = Callable[[Tensor, Tensor], Tensor]
"""T of the feature maps of some pixels and the representations of others, (pair, position)."""


def calibration(true: Tensor, unpaired: Tensor) -> str:
    """Expected calibration error over ten bins, share of pairs told right, and what is true where sigmoid(T) is over 0.8."""
    t = torch.cat([true.flatten(), unpaired.flatten()]).double()
    is_true = torch.cat([torch.ones(true.numel()), torch.zeros(unpaired.numel())]).double()
    p = t.sigmoid()
    bins = (p * 10).long().clamp(max=9)
    error = sum(float((p[bins == k].mean() - is_true[bins == k].mean()).abs() * (bins == k).double().mean()) for k in bins.unique())
    high = p > 0.8
    return f"{error:.3f} | {float(((t > 0) == (is_true > 0)).double().mean()):.3f} | {float(p[high].mean()):.2f} | {float(is_true[high].mean()):.2f}"


def area(alike: np.ndarray, score: np.ndarray, crops: np.ndarray, part: np.ndarray) -> float:
    """Area under the curve within each crop, as Algorithm 2 never compares distances of two images; mean over the crops that have pairs of both kinds."""
    within = [part & (crops == crop) for crop in np.unique(crops)]
    return float(np.mean([roc_auc_score(alike[pairs], score[pairs]) for pairs in within if len(set(alike[pairs])) == 2]))


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    rows = {row.name: row for row in (*ABLATIONS, *VARIANTS)}
    parser.add_argument("--cache", type=Path, default=Path(".results-cache"))
    parser.add_argument("--row", choices=rows, default="baseline", help="Of table 3 or of `variants`.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, help="Of the training, instead of the budget's.")
    asked = parser.parse_args()
    runner = Runner(open_data(DATA / "dubai"), BUDGETS["medium"].changed(steps=asked.steps), asked.cache, workers=1)
    model = runner.model(rows[asked.row], asked.seed)
    network, radius = model.network, model.config.radius
    rng = np.random.default_rng(0)
    patches, classes, crops, others = [], [], [], []
    for crop, task in enumerate(runner.tasks):
        pixels, truth = model.standardise(task.labelled.scene.read()), task.labelled.classes
        side = len(truth)
        for row, col in rng.integers(radius, side - radius, (300, 2)):
            window = np.s_[row - radius : row + radius + 1, col - radius : col + radius + 1]
            if truth[row, col]:
                patches.append(pixels[:, *window])
                classes.append(truth[row, col])
                crops.append(crop)
                others.append((truth[window] != truth[row, col]).mean())
    known, of, mixed_share = np.array(classes), np.array(crops), np.array(others)
    with torch.inference_mode():
        x = torch.stack(patches)
        c, s = network.encoder(x)
        asks: dict[str, Ask] = {}
        for name, critic, maps in (("local", network.local_critic, c.flatten(2).unsqueeze(-1)), ("global", network.global_critic, c)):
            u, v = critic.project_map(maps).flatten(2), critic.project_shared(s).flatten(2)
            asks[name] = lambda i, j, critic=critic, u=u, v=v: critic.pair(u[i], v[j])  # type: ignore[misc]
        own, anyone = torch.arange(len(x)), torch.from_numpy(rng.permutation(len(x)))
        pairs = np.concatenate([rng.choice(np.flatnonzero(of == crop), (400, 2)) for crop in range(len(runner.tasks))])
        a, b = torch.from_numpy(pairs[pairs[:, 0] != pairs[:, 1]]).T
        print(
            "| T | unpaired from | calibration error | told right | mean sigmoid(T) over 0.8 | true share there |\n|---|---|---|---|---|---|"
        )
        for name, ask in asks.items():
            print(f"| {name} | any crop | {calibration(ask(own, own), ask(own, anyone))} |")
            print(f"| {name} | the same crop | {calibration(ask(own, own), ask(a, b))} |")
        crop_of_pair = of[a.numpy()]
        alike, mixed = known[a] == known[b], (mixed_share[a] > 0.2) | (mixed_share[b] > 0.2)
        crossed = {name: (ask(a, b), ask(b, a)) for name, ask in asks.items()}
        alone = {name: softplus(-ask(a, a)).sum(1) + softplus(-ask(b, b)).sum(1) for name, ask in asks.items()}
        scores = {
            **{f"D, {name}": alone[name] + sum(softplus(t).sum(1) for t in both) for name, both in crossed.items()},
            "D, local, without own terms": sum(softplus(t).sum(1) for t in crossed["local"]),
            "sum of local logits": sum(t.sum(1) for t in crossed["local"]),
            "L1 on S": -(s[a] - s[b]).abs().flatten(1).sum(1),
            "L1 on C": -(c[a] - c[b]).abs().flatten(1).sum(1),
            "L1 on raw bands": -(x[a] - x[b])[:, :, radius, radius].abs().sum(1),
        }
        print("\n| same class, of two pixels of a crop: area under the curve | all | neither window mixed | one is |\n|---|---|---|---|")
        for name, score in scores.items():
            areas = [area(alike, np.asarray(score), crop_of_pair, part) for part in (np.ones_like(mixed), ~mixed, mixed)]
            print(f"| {name} | {' | '.join(f'{value:.3f}' for value in areas)} |")
        means = [
            float(asks["local"](i, j)[part].mean()) for i, j, part in ((own, own, own), (a, b, alike), (a, b, ~alike), (own, anyone, own))
        ]
        print("\nMean local T: own {:.2f}, same class {:.2f}, other class {:.2f}, any crop {:.2f}".format(*means))


if __name__ == "__main__":
    main()
