"""Tables of classes as people have them, and what their classes belong to."""

from __future__ import annotations

import pytest

from pixelkin.errors import LabelError
from pixelkin.labels import read_class_table, with_levels
from pixelkin.types import Legend

CORINE = """GRID_CODE,CLC_CODE,LABEL1,LABEL2,LABEL3,RGB
23,311,Forest and semi natural areas,Forests,Broad-leaved forest,128-255-000
24,312,Forest and semi natural areas,Forests,Coniferous forest,000-166-000
18,231,Agricultural areas,Pastures,Pastures,230-230-077
"""
EUNIS = """EUNIS code;Name
A;Marine habitats
A1;Littoral rock
A1.1;High energy littoral rock
G1;Broadleaved deciduous woodland
"""
UKHAB = """Level 2 Code,Level 2 Label,Level 3 Code,Level 3 Label
g,Grassland,g1,Acid grassland
w,Woodland and forest,w1,Broadleaved woodland
"""
OWN = """id,name,parent,colour
1,land,,#ffffff
2,pasture,land,#00ff00
3,forest,1,
4,beech,forest,
"""


def paths(folder, text):
    (folder / "table.csv").write_text(text)
    return {row.name: [group.name for group in row.parents] for row in read_class_table(folder / "table.csv")}


def test_columns_of_corine(tmp_path):
    found = paths(tmp_path, CORINE)
    assert found["Broad-leaved forest"] == ["Forest and semi natural areas", "Forests"]
    assert found["Pastures"] == ["Agricultural areas"]
    legend = with_levels(Legend.from_names(["311", "pastures"]), read_class_table(tmp_path / "table.csv"))
    assert [entry.color for entry in legend] == [(128, 255, 0), (230, 230, 77)]
    top, place = legend.at_level(1)
    assert [top.by_id(place[i]).name for i in legend.ids] == ["Forest and semi natural areas", "Agricultural areas"]


def test_codes_of_eunis(tmp_path):
    assert paths(tmp_path, EUNIS) == {
        "Marine habitats": [],
        "Littoral rock": ["Marine habitats"],
        "High energy littoral rock": ["Marine habitats", "Littoral rock"],
        "Broadleaved deciduous woodland": [],
    }


def test_labels_of_ukhab(tmp_path):
    assert paths(tmp_path, UKHAB) == {"Acid grassland": ["Grassland"], "Broadleaved woodland": ["Woodland and forest"]}
    assert (
        with_levels(Legend.from_names(["w1"]), read_class_table(tmp_path / "table.csv")).classes[0].parents[0].name == "Woodland and forest"
    )


def test_parents_by_id_or_name(tmp_path):
    assert paths(tmp_path, OWN) == {"land": [], "pasture": ["land"], "forest": ["land"], "beech": ["land", "forest"]}
    top, _ = with_levels(Legend.from_names(["beech"]), read_class_table(tmp_path / "table.csv")).at_level(1)
    assert top.classes[0].color == (255, 255, 255)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b\n1,2\n", r"has columns \['a', 'b'\], expected id, name, parent"),
        ("id,name,parent\n1,a,b\n", "'a' has parent 'b', which is no row's id or name"),
        ("id,name,parent\n1,a,b\n2,b,a\n", "'a' is above itself"),
        ("id,name,parent,colour\n1,a,,blue\n", "has colour 'blue', expected #rrggbb"),
    ],
)
def test_what_is_wrong_with_a_table_is_said(tmp_path, text, said):
    with pytest.raises(LabelError, match=said):
        paths(tmp_path, text)


def test_a_class_without_a_row_is_named(tmp_path):
    paths(tmp_path, OWN)
    with pytest.raises(LabelError, match=r"class 'reed' is in no row of own\.csv"):
        with_levels(Legend.from_names(["beech", "reed"]), read_class_table(tmp_path / "table.csv"), "own.csv")


def test_a_legend_with_levels_goes_through_json_and_one_without_is_as_before(tmp_path):
    paths(tmp_path, OWN)
    legend = with_levels(Legend.from_names(["beech", "pasture"]), read_class_table(tmp_path / "table.csv"))
    assert Legend.from_json(legend.to_json()) == legend
    assert Legend.from_names(["a"]).to_json() == [{"id": 1, "name": "a", "color": [0, 114, 178]}]
    with pytest.raises(LabelError, match="have no levels"):
        Legend.from_names(["a"]).at_level(1)
