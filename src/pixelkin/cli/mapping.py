"""What commands that map have in common, however labels decide."""

from __future__ import annotations

import dataclasses
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import MissingExtraError

if TYPE_CHECKING:
    from ..products import Outputs, SeriesOutputs
    from ..scene import Scene, Series


def require(
    source: Scene | Series, outputs: Outputs | SeriesOutputs, options: dict[str, Any], inputs: dict[str, list[str]], beside: list[Path]
) -> None:
    """Refuse, before any work, outputs and numbers that cannot be; `beside` are files that the command writes besides."""
    from ..products import SeriesOutputs
    from ..scale.manifest import Run
    from ..scale.run import require_memory
    from ..scene import Series

    require_memory(source, options["memory"], options["tile"])
    if isinstance(outputs, SeriesOutputs):
        assert isinstance(source, Series)
        finished = (lambda _: False) if options["restart"] else Run(outputs.folder / "series", {}).marked
        outputs.require(source, inputs=inputs, overwrite=options["overwrite"], finished=finished, beside=beside)
    else:
        outputs.require(source.grid, inputs=inputs, overwrite=options["overwrite"], beside=beside)


def beside_the_map(source: Scene | Series, outputs: Outputs | SeriesOutputs) -> list[Path]:
    """Files to name beside the map or the folder of maps, whose layers stand in the same place."""
    from ..products import Outputs, SeriesOutputs
    from ..scene import Series

    if isinstance(outputs, Outputs):
        return dataclasses.replace(outputs, map=None).targets(source.grid)
    assert isinstance(outputs, SeriesOutputs)
    assert isinstance(source, Series)
    each = [dataclasses.replace(one, map=None).targets(source.grid) for _, _, one in outputs.by_date(source)]
    return [*(path for paths in each for path in paths), *(path for path in (outputs.areas, outputs.chart) if path is not None)]


def cluster(options: dict[str, Any]) -> AbstractContextManager[Any]:
    """The Dask cluster that --workers or --scheduler ask for, None without either."""
    if options["scheduler"] is None and options["workers"] is None:
        return nullcontext()
    try:
        from ..scale.dask import connect
    except ImportError as exc:
        raise MissingExtraError("dask", extra="scale", purpose="--scheduler or --workers") from exc

    return connect(scheduler=options["scheduler"], workers=options["workers"], memory=options["memory"])
