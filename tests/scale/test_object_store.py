"""Imagery in an S3 store, served on loopback: rasters through GDAL, Zarr through fsspec and obstore."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import pixelkin as pk
from pixelkin.raster import read_map
from pixelkin.raster.xarray import open_zarr
from pixelkin.scale import segment
from pixelkin.types import Window

# moto's own use of botocore and werkzeug.
pytestmark = [pytest.mark.filterwarnings("ignore::DeprecationWarning"), pytest.mark.filterwarnings("ignore::ResourceWarning")]


@pytest.fixture(scope="module")
def store():
    """Address of an S3 server with a bucket 'imagery'."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    client = boto3.client("s3", endpoint_url=address, region_name="us-east-1", aws_access_key_id="key", aws_secret_access_key="secret")
    client.create_bucket(Bucket="imagery")
    yield address, client
    server.stop()


@pytest.fixture
def credentials(store, monkeypatch):
    address, _ = store
    settings = {
        "AWS_S3_ENDPOINT": address.removeprefix("http://"), "AWS_HTTPS": "NO", "AWS_VIRTUAL_HOSTING": "FALSE",
        "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1", "AWS_REGION": "us-east-1",
    }  # fmt: skip
    for key, value in settings.items():
        monkeypatch.setenv(key, value)


def test_a_raster_in_a_bucket_is_read_by_window_and_mapped(tmp_path, store, credentials, scene_path, scene, segmenter, whole):
    store[1].upload_file(str(scene_path), "imagery", "scene.tif")
    remote = pk.open_scene("/vsis3/imagery/scene.tif")
    assert remote.grid == scene.grid
    window = Window(100, 190, 30, 40)
    np.testing.assert_array_equal(remote.read(window).data, scene.read(window).data)
    out = segment(remote, segmenter, tmp_path / "map.tif", tile=256)
    np.testing.assert_array_equal(read_map(out).classes, whole.classes)


@pytest.mark.parametrize("client", ["fsspec", "obstore"])
def test_zarr_in_a_bucket_is_read_by_window(tmp_path, store, scene, client):
    address, s3 = store
    data = xr.Dataset({"image": (("band", "y", "x"), scene.read().data, {"_FillValue": 0})})
    data.to_zarr(tmp_path / "scene.zarr", zarr_format=3, consolidated=False, encoding={"image": {"chunks": (3, 256, 256)}})
    for file in (tmp_path / "scene.zarr").rglob("*"):
        if file.is_file():
            s3.upload_file(str(file), "imagery", f"{client}/{file.relative_to(tmp_path)}")
    if client == "fsspec":
        options = {"key": "key", "secret": "secret", "client_kwargs": {"endpoint_url": address, "region_name": "us-east-1"}}
        remote = open_zarr(f"s3://imagery/{client}/scene.zarr", storage_options=options)
    else:
        from obstore.store import S3Store
        from zarr.storage import ObjectStore

        bucket = S3Store(
            "imagery", prefix=f"{client}/scene.zarr", endpoint=address, access_key_id="key", secret_access_key="secret", region="us-east-1",
            client_options={"allow_http": True}, virtual_hosted_style_request=False,
        )  # fmt: skip
        remote = open_zarr(ObjectStore(bucket, read_only=True))
    for ours, theirs in zip(remote.read(Window(90, 150, 300, 300)), scene.read(Window(90, 150, 300, 300)), strict=True):
        np.testing.assert_array_equal(ours, theirs)
