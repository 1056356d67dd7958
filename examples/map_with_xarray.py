"""Map a raster of any size with a map model of `pixelkin export`, by rioxarray and Dask: python map_with_xarray.py FOLDER IMAGE OUT.

Chunks get a margin from their neighbours and are mapped one by one; what is in memory is a chunk a thread.
"""

import sys

import numpy as np
import rioxarray
import xarray
from dask.array.overlap import overlap, trim_internal

CHUNK = 1024
MOST_BYTES = 1 << 30


def map_image(folder: str, image: xarray.DataArray) -> xarray.DataArray:
    """Class ids (y, x), 0 = no data, of bands (band, y, x), which are Dask's, in the order of the map model's."""
    if folder not in sys.path:
        sys.path.insert(0, folder)
    from map_model import MapModel

    model = MapModel(folder, threads=1)
    # How common classes are is a matter of the whole image; of one that memory cannot hold, all are taken to be alike.
    priors = "equal" if image.nbytes > MOST_BYTES else model.proportions(image.values)
    depth = -(-model.halo // 8) * 8

    def one(bands: np.ndarray) -> np.ndarray:
        return model.predict(bands, priors=priors)[0]

    data = image.transpose("band", "y", "x").data.rechunk((-1, CHUNK, CHUNK))
    mapped = overlap(data, (0, depth, depth), boundary="none").map_blocks(one, drop_axis=0, dtype=np.uint8, meta=np.empty((0, 0), np.uint8))
    classes = trim_internal(mapped, {0: depth, 1: depth}, boundary="none")
    return image.isel(band=0, drop=True).copy(data=classes)


if __name__ == "__main__":
    folder, source, target = sys.argv[1:]
    with rioxarray.open_rasterio(source, chunks={"x": CHUNK, "y": CHUNK}, masked=True) as image:
        map_image(folder, image).rio.write_nodata(0, encoded=False).rio.to_raster(target, dtype="uint8", compress="deflate", tiled=True)
