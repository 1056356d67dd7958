import errno

import numpy as np
import pyogrio
import pytest
from pyogrio.errors import DataSourceError

from pixelkin.errors import OutputError, ShapeError
from pixelkin.files import replacing
from pixelkin.maps import Score, write_polygons
from pixelkin.types import Legend


def write_half(path, failure, *, overwrite):
    with replacing(path, overwrite=overwrite) as temporary:
        temporary.write_text("half")
        raise failure


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "areas.csv"
    path.write_text("old")
    with pytest.raises(OutputError, match=r"areas.csv cannot be written: No space left on device. Check free space and permissions of"):
        write_half(path, OSError(errno.ENOSPC, "No space left on device"), overwrite=True)
    assert [(entry.name, entry.read_text()) for entry in tmp_path.iterdir()] == [("areas.csv", "old")]


def test_an_interrupt_leaves_nothing_behind(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        write_half(tmp_path / "areas.csv", KeyboardInterrupt(), overwrite=False)
    assert not list(tmp_path.iterdir())


def test_a_reader_of_the_old_file_never_sees_a_mixture(tmp_path):
    path = tmp_path / "areas.csv"
    path.write_text("old and longer")
    with path.open() as reader:
        with replacing(path, overwrite=True) as temporary:
            temporary.write_text("new")
        assert reader.read() == "old and longer"
    assert path.read_text() == "new"


def test_gdal_failing_half_way_leaves_nothing_behind(make_map, tmp_path, monkeypatch):
    def fail(frame, path, **options):
        path.write_bytes(b"half")
        raise DataSourceError("disk I/O error")

    monkeypatch.setattr(pyogrio, "write_dataframe", fail)
    with pytest.raises(OutputError, match=r"map.gpkg cannot be written: disk I/O error. Check free space"):
        write_polygons(make_map([[1]]), tmp_path / "map.gpkg")
    assert not list(tmp_path.iterdir())


def test_a_confusion_matrix_without_the_undecided_column_is_refused():
    with pytest.raises(ShapeError, match=r"confusion has shape \(2, 2\), expected \(2, 3\)."):
        Score(Legend.from_names("ab"), np.eye(2, dtype=np.int64), 0)
