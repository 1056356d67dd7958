"""A map, its accuracy and its areas on one self-contained page, ready for an appendix."""

from __future__ import annotations

import base64
import io
import math
import tempfile
from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np

from ..files import replacing, require_suffix
from ..maps import area_table, colorize
from ..scene import Scene
from ..segmentation import Segmentation
from ..types import LabelledPixels
from .evaluation import Evaluation
from .pdf import find_browser, print_pdf

_LONGEST_SIDE = 1000
_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}
img{max-width:100%;image-rendering:pixelated;border:1px solid #ccc;background:#fff}
table{border-collapse:collapse;margin:.5rem 0 1.5rem}td,th{padding:.2rem .7rem;border-bottom:1px solid #ddd;text-align:right}
img.panels{image-rendering:auto;border:0}figure{margin:1rem 0}td:first-child,th:first-child{text-align:left}.box{display:inline-block;width:1em;height:1em;margin-right:.5em;vertical-align:-.15em;border:1px solid #999}
@media print{body{margin:0;font-size:11px}h2{break-after:avoid}table,figure{break-inside:avoid}td{overflow-wrap:anywhere}}
"""
_COUNTED = """
<p>Areas are counted from the map, which repeats its mistakes: they are no estimates. For those, draw points with <code>pixelkin sample</code>,
label them, and give them here.</p>
"""
_METHOD = """
<p>Points were drawn at random with known inclusion probabilities and labelled independently of the map. Accuracies, areas and cells of the confusion matrix
are ratios of totals that are estimated with weights of one over the inclusion probability; their standard errors are those of the linearised ratios under the design, with the finite population
correction (Stehman 2014, equations 25 to 28; where strata are the map's classes these are equations 5 to 7 and 10 of Olofsson et al. 2014). Where strata are not the
map's classes, areas are estimated by regression on the map (Cochran 1977, section 7.8).</p>
<p>Intervals of 95 % are Wilson's with the effective sample size of the design (Korn and Graubard 1998). Pixels that the map leaves undecided count as wrong. Areas are given with plus or minus
1.96 standard errors.</p>
<ul>
<li>Cochran, W. G. 1977. Sampling Techniques, 3rd edition. Wiley.</li>
<li>Korn, E. L., and B. I. Graubard. 1998. Confidence intervals for proportions with small expected number of positive counts estimated from survey data. Survey Methodology 24, 193-201.</li>
<li>Olofsson, P., et al. 2014. Good practices for estimating area and assessing accuracy of land change. Remote Sensing of Environment 148, 42-57.</li>
<li>Stehman, S. V. 2014. Estimating area and map accuracy for stratified random sampling when the strata are different from the map classes. International Journal of Remote Sensing 35, 4923-4939.</li>
</ul>
"""


def write_report(
    segmentation: Segmentation,
    path: str | Path,
    *,
    title: str,
    evaluation: Evaluation | None = None,
    design: str = "",
    labels: LabelledPixels | None = None,
    scene: Scene | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a page with the map, its legend, image and marks, sample design, accuracy, areas, provenance and method.

    Args:
        segmentation: The map.
        path: Page to write, `.html`, which needs no other file and no network; or `.pdf`, which a browser of this machine prints.
        title: Its heading.
        evaluation: What a sample says of the map.
        design: How that sample was drawn, in words.
        labels: The marks that the map was made from.
        scene: The image, to be drawn with its marks, the map and its confidence.
        overwrite: Replace a file that is there.

    Raises:
        OutputError: Another suffix, the file is there and overwrite is False, no browser for a PDF, or the disk refuses it.
        RasterError: The map is not on the image's grid.
    """
    path = report_target(path)
    grid = segmentation.grid
    parts = [
        f"<h1>{escape(title)}</h1>",
        _picture(segmentation) if scene is None else _pictures(scene, labels, segmentation),
        _legend(segmentation, labels),
    ]
    parts.append(f"<p>{grid.height:,} x {grid.width:,} pixels, {escape((grid.crs or 'no CRS')[:60])}.</p>")
    parts += ["<h2>Accuracy and areas</h2>", _figures(evaluation, design) if evaluation is not None else _COUNTED]
    provenance = sorted(segmentation.provenance.items())
    if provenance:
        parts += ["<h2>Provenance</h2>", _table(["what", "value"], [[escape(str(name)), escape(str(value))] for name, value in provenance])]
    if evaluation is not None:
        parts += ["<h2>Method</h2>", _METHOD]
    body = "\n".join(parts)
    page = f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style></head><body>\n{body}\n</body></html>\n'
    with replacing(path, overwrite=overwrite) as temporary:
        if path.suffix.lower() != ".pdf":
            temporary.write_text(page, encoding="utf-8")
            return path
        with tempfile.TemporaryDirectory() as folder:
            (source := Path(folder) / "report.html").write_text(page, encoding="utf-8")
            print_pdf(source, temporary)
    return path


def report_target(path: str | Path) -> Path:
    """The path, where its suffix is that of a page, and, for a PDF, a browser is there; else OutputError."""
    found = require_suffix(Path(path), (".html", ".htm", ".pdf"), "a report")
    if found.suffix.lower() == ".pdf":
        find_browser()
    return found


def _picture(segmentation: Segmentation) -> str:
    from PIL import Image

    step = max(1, math.ceil(max(segmentation.grid.shape) / _LONGEST_SIDE))
    buffer = io.BytesIO()
    Image.fromarray(colorize(segmentation.classes[::step, ::step], segmentation.legend)).save(buffer, "PNG")
    data = base64.b64encode(buffer.getvalue()).decode()
    shown = f" Every {step}th pixel is shown." if step > 1 else ""
    return f'<figure><img alt="the map" src="data:image/png;base64,{data}"><figcaption>The map.{shown}</figcaption></figure>'


def _pictures(scene: Scene, labels: LabelledPixels | None, segmentation: Segmentation) -> str:
    from ..maps import overview

    with tempfile.TemporaryDirectory() as folder:
        data = base64.b64encode(overview(scene, labels, segmentation, Path(folder) / "overview.png").read_bytes()).decode()
    said = "Image, marked pixels, map and confidence" + (
        "." if segmentation.confidence.any() else "; the map was written without its confidence."
    )
    return f'<figure><img class="panels" alt="image, marks, map and confidence" src="data:image/png;base64,{data}"><figcaption>{said}</figcaption></figure>'


def _legend(segmentation: Segmentation, labels: LabelledPixels | None) -> str:
    rows = []
    for row in area_table(segmentation):
        box = '<span class="box" style="background:#{:02x}{:02x}{:02x}"></span>'.format(*row.color)
        hectares = "-" if math.isnan(row.hectares) else f"{row.hectares:,.2f}"
        marks = []
        if labels is not None:
            known = [entry.id for entry in labels.legend if entry.name == row.name]
            marks = [f"{int(np.isin(labels.classes, known).sum()):,}"]
        rows.append(
            [box + escape(row.name), f"{row.pixels:,}", hectares, "-" if math.isnan(row.share) else f"{100 * row.share:.1f} %", *marks]
        )
    return _table(["class", "mapped pixels", "mapped hectares", "share", *(["marks"] if labels is not None else [])], rows)


def _figures(evaluation: Evaluation, design: str) -> str:
    low, high = evaluation.overall.interval()
    said = [
        f"<p>Overall accuracy {evaluation.overall.value:.3f}, 95 % interval {low:.3f} to {high:.3f}, from {int(evaluation.counts.sum()):,} points.</p>",
        f"<p>Sample: {escape(design)}.</p>" if design else "",
        *(f"<p>Note: {escape(note)}</p>" for note in evaluation.notes),
    ]

    def cell(estimate: object) -> str:
        value = getattr(estimate, "value", math.nan)
        if math.isnan(value):
            return "-"
        bounds = estimate.interval()  # type: ignore[attr-defined]
        return f"{value:.3f} ({bounds[0]:.3f} to {bounds[1]:.3f})"

    kinds = (evaluation.users, evaluation.producers, evaluation.f1, evaluation.iou)
    said.append(
        _table(
            ["class", "user's accuracy", "producer's accuracy", "F1", "IoU"],
            [[escape(name), *(cell(kind[i]) for kind in kinds)] for i, name in enumerate(evaluation.names)],
        )
    )
    rows = []
    for i, name in enumerate(evaluation.names):
        share, error = evaluation.best_area(i)
        hectares = (
            "-" if math.isnan(evaluation.hectares) else f"{share * evaluation.hectares:,.2f} ± {1.96 * error * evaluation.hectares:,.2f}"
        )
        rows.append([escape(name), f"{100 * share:.1f} % ± {196 * error:.1f} %", hectares])
    said.append(_table(["class", "estimated share", "estimated hectares"], rows))
    header = ["truth \\ map", *map(escape, evaluation.names), "undecided"]
    said.append(
        _table(header, [[escape(name), *map(str, row)] for name, row in zip(evaluation.names, evaluation.counts.tolist(), strict=True)])
    )
    return "\n".join(said)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["".join(f"<th>{cell}</th>" for cell in header), *("".join(f"<td>{cell}</td>" for cell in row) for row in rows)]
    return "<table>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>"
