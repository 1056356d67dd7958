# /// script
# dependencies = ["numpy", "onnxruntime", "xarray"]
# ///
"""A map model of `pixelkin export` as an openEO user-defined function.

The folder that was exported travels with the job, zipped, as a dependency archive; its path there goes into the context. Give the function tiles with an
overlap of at least the `halo` of map_model.json, and no mask but NaN:

    udf = openeo.UDF.from_file("openeo_udf.py", context={"folder": "tmp/map_model", "priors": priors})
    cube.apply_neighborhood(udf, size=[{"dimension": d, "value": 256, "unit": "px"} for d in "xy"],
                            overlap=[{"dimension": d, "value": 48, "unit": "px"} for d in "xy"])

`priors` is "equal", or what `MapModel.proportions` said of the whole image: a tile alone does not know how common classes are.
"""

import sys

import numpy as np
import xarray


def apply_datacube(cube: xarray.DataArray, context: dict) -> xarray.DataArray:
    """Bands (bands, y, x), or (t, bands, y, x), to two: class ids, 0 = no data, and confidence in [0, 1]."""
    folder = context.get("folder", "map_model")
    if folder not in sys.path:
        sys.path.insert(0, folder)
    from map_model import MapModel

    model = MapModel(folder)
    if "bands" in cube.coords and set(model.bands) <= set(cube.bands.values.tolist()):
        cube = cube.sel(bands=model.bands)
    others = [dim for dim in cube.dims if dim not in ("bands", "y", "x")]
    dates = cube.transpose(*others, "bands", "y", "x")
    images = dates.values.reshape(-1, *dates.shape[-3:])
    maps = np.stack([np.stack(model.predict(image, priors=context.get("priors", "equal"))) for image in images])
    maps = maps.reshape(*dates.shape[: len(others)], 2, *dates.shape[-2:]).astype(np.float32)
    coords = {name: coord for name, coord in dates.coords.items() if "bands" not in coord.dims}
    found = xarray.DataArray(maps, dims=dates.dims, coords={**coords, "bands": ["class", "confidence"]})
    return found.transpose(*cube.dims)
