"""Pictures and a table of what each shows: how both are found, read, and what is wrong with a row."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fathom.data import picture_labels
from fathom.data.formats import labelled_pictures
from fathom.data.inspect import inspect
from fathom.errors import InputError
from fathom.task import Options
from fathom.tasks.image_classification import ImageClassification
from fathom.tasks.multi_label import MultiLabel
from fathom.verbs.fit import recognise


def folder(
    place: Path, table: str, names: tuple[str, ...] = ("a.png", "b.png", "c.png", "sub/d.png")
) -> Path:
    """Pictures of one grey each, and a table beside them."""
    for i, name in enumerate(names):
        file = place / name
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((30, 34), 10 * i % 256, np.uint8)).save(file)
    (place / "labels.csv").write_text(table, encoding="utf-8")
    return place


def shown(found: labelled_pictures.LabelledPictures) -> dict[str, set[str]]:
    """Name of each picture -> its labels."""
    kinds = [{found.labels[k] for k in kind} for kind in found.sets]
    return {p.name: kinds[i] for p, i in zip(found.folder.paths, found.folder.labels, strict=True)}


WANTED = {"a.png": {"cat", "tree"}, "b.png": set(), "c.png": {"cat"}, "d.png": {"red house"}}


@pytest.mark.parametrize(
    "table",
    [
        "file,labels\na.png,cat; tree\nb.png,\nc.png,cat\nsub/d.png,red house\n",
        "labels,picture\ntree|cat,a\n,b\ncat|,c\nred house,d\n",  # names without ending, another order
        'name,what\na.png,"cat,tree"\nb.png,\nc.png,cat\nd.png,red house\n',  # the only other column
        "file;cat;tree;red house\na.png;1;1;0\nb.png;0;0;0\nc.png;1;0;0\nd.png;0;0;1\n",
        "file,size,labels\na.png,9,cat;tree\nb.png,8,\nc.png,7,cat\nd.png,6,red house\n",
    ],
)
def test_labels_in_a_column_or_a_column_each(table: str, tmp_path: Path) -> None:
    place = folder(tmp_path, table)
    for path in (place, place / "labels.csv"):
        assert shown(labelled_pictures.scan(path, Options())) == WANTED
        name, sighting = recognise(path, Options())
        assert name == "multi_label" and "names pictures" in " ".join(sighting.saw)
    assert labelled_pictures.scan(place, Options()).counts() == {"cat": 2, "red house": 1, "tree": 1}


def test_spaces_stand_between_labels_where_nothing_else_does(tmp_path: Path) -> None:
    place = folder(tmp_path, "file,tags\na.png,x y\nb.png,y\nc.png,x\nd.png,\n")
    assert shown(labelled_pictures.scan(place, Options())) == {
        "a.png": {"x", "y"}, "b.png": {"y"}, "c.png": {"x"}, "d.png": set(),
    }  # fmt: skip


def test_numbers_name_pictures_where_the_column_says_so(tmp_path: Path) -> None:
    place = folder(tmp_path, "image_id,labels\n1,x\n2,y;x\n3,\n", ("1.png", "2.png", "3.png"))
    assert shown(labelled_pictures.scan(place, Options())) == {
        "1.png": {"x"},
        "2.png": {"x", "y"},
        "3.png": set(),
    }
    (place / "labels.csv").write_text("rain,labels\n1,x\n2,y;x\n3,\n", encoding="utf-8")
    assert labelled_pictures.glance(place, Options()) is None


def test_splits_are_kept_and_rows_are_those_of_the_table(tmp_path: Path) -> None:
    names = tuple(f"{i:02d}.png" for i in range(12))
    rows = [f"{n},{'even' if i % 2 == 0 else 'odd'};{i % 3},{'valid' if i > 8 else 'train'}"
            for i, n in enumerate(names)]  # fmt: skip
    place = folder(tmp_path, "\n".join(["file,labels,split", *rows]), names)
    task, data = MultiLabel.read(place, Options())
    assert task.labels == ("0", "1", "2", "even", "odd") and (task.channels, task.height) == (1, 28)
    assert data.valid is not None and (len(data.train), len(data.valid), data.test) == (9, 3, None)
    image, target = data.valid.rows(torch.arange(3))
    assert image.shape == (3, 1, 28, 28) and image[:, 0, 14, 14].tolist() == [90, 100, 110]
    assert target.tolist() == [[1, 0, 0, 0, 1], [0, 1, 0, 1, 0], [0, 0, 1, 0, 1]]
    assert data.facts["classes"] == {"0": 4, "1": 4, "2": 4, "even": 6, "odd": 6}
    assert isinstance(data.train, picture_labels.LookedUp)
    assert torch.equal(data.train.targets, data.train.rows(torch.arange(9))[-1])


def test_a_path_names_its_own_picture_whatever_others_are_called(tmp_path: Path) -> None:
    place = folder(tmp_path, "file,labels\nd.png,x\nsub/d.png,y\n", ("d.png", "sub/d.png"))
    found = labelled_pictures.scan(place, Options())
    assert [p.relative_to(place).as_posix() for p in found.folder.paths] == ["d.png", "sub/d.png"]
    assert labelled_pictures.cell_text(1234567.0) == "1234567"


def test_a_fifth_is_held_out_where_every_set_of_labels_is_rare(tmp_path: Path) -> None:
    names = tuple(f"{i:02d}.png" for i in range(40))
    sets = (";".join(f"l{b}" for b in range(6) if (i + 3) >> b & 1) for i in range(40))
    rows = [f"{name},{labels}" for name, labels in zip(names, sets, strict=True)]
    place = folder(tmp_path, "\n".join(["file,labels", *rows]), names)
    _, data = MultiLabel.read(place, Options())
    assert data.valid is not None and (len(data.train), len(data.valid)) == (32, 8)
    for row in range(20):  # and of two common sets a fifth each
        rows[row], rows[20 + row] = f"{names[row]},x", f"{names[20 + row]},y"
    (place / "labels.csv").write_text("\n".join(["file,labels", *rows]), encoding="utf-8")
    _, data = MultiLabel.read(place, Options())
    assert data.valid is not None
    assert data.valid.rows(torch.arange(8))[-1].sum(dim=0).tolist() == [4.0, 4.0]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("e.png,cat", "line 6: 'e.png' in column 'file': there is no such picture"),
        ("a.png,tree", r"line 6: .*a.png stands in .*line 2 as well"),
        ("d,cat", "several pictures are called so: give the path"),
    ],
)
def test_a_wrong_row_is_named(row: str, said: str, tmp_path: Path) -> None:
    table = "file,labels\n" + "".join(f"{n}.png,cat\n" for n in "abc") + "sub/d.png,tree\n" + row
    names = ("a.png", "b.png", "c.png", "sub/d.png", "other/d.png", *(f"{i}.png" for i in range(9)))
    place = folder(tmp_path, table + "\n" + "".join(f"{i}.png,cat\n" for i in range(9)), names)
    with pytest.raises(InputError, match=said):
        labelled_pictures.scan(place, Options())
    if "stands in" not in said:
        found = labelled_pictures.scan(place, Options(skip_bad=True))
        assert len(found.folder.paths) == 13 and "line 6" in found.folder.bad[0]
        assert any("line 6" in problem for problem in inspect(place).problems)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("file,size,mood\na.png,3,x\nb.png,4,y\nc.png,5,z\nd.png,6,x\n", "which of the columns size, mood"),
        ("file,labels\na.png,\nb.png,\nc.png,\nd.png,\n", "has 0 labels"),
        ("file,labels\nu.png,x\nv.png,y\n", "no column names pictures"),
    ],
)
def test_what_is_no_table_of_labels_is_told(table: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=said):
        labelled_pictures.scan(folder(tmp_path, table), Options())


def test_a_column_may_be_named_and_must_be_there(tmp_path: Path) -> None:
    place = folder(tmp_path, "file,size,mood\na.png,3,x y\nb.png,4,y\nc.png,5,z\nd.png,6,x\n")
    assert shown(labelled_pictures.scan(place, Options(target="mood")))["a.png"] == {"x", "y"}
    with pytest.raises(InputError, match="no column 'nope'"):
        labelled_pictures.scan(place, Options(target="nope"))


def test_class_folders_stay_what_they_are(tmp_path: Path) -> None:
    """A table that does not name the pictures says nothing about them; nor do two tables."""
    names = ("cat/1.png", "cat/2.png", "dog/3.png", "dog/4.png")
    place = folder(tmp_path, "day,rain\nmonday,3\ntuesday,4\n", names)
    assert recognise(place, Options())[0] == "image_classification"
    (place / "labels.csv").write_text("file,labels\n1.png,x\n2.png,y\n", encoding="utf-8")
    (place / "more.csv").write_text("file,labels\n3.png,x\n4.png,y\n", encoding="utf-8")
    assert recognise(place, Options())[0] == "image_classification"
    assert isinstance(ImageClassification.read(place, Options())[0], ImageClassification)


def test_a_column_called_so_may_miss_pictures_and_each_is_named(tmp_path: Path) -> None:
    """One of nine cells named no picture, and the folder was said to hold no table."""
    names = tuple(f"{i}.png" for i in range(9))
    rows = [f"{name},{'cat' if i % 2 else 'dog'}" for i, name in enumerate((*names[:8], "gone.png"))]
    place = folder(tmp_path, "\n".join(["file,label", *rows]), names)
    assert recognise(place, Options())[0] == "multi_label"
    with pytest.raises(InputError, match=r"line 10: 'gone\.png' in column 'file': there is no such picture"):
        MultiLabel.read(place, Options())
    _, data = MultiLabel.read(place, Options(skip_bad=True))
    assert data.facts["classes"] == {"cat": 4, "dog": 4} and "line 10" in data.facts["skipped"][0]
    assert any("line 10" in problem for problem in inspect(place).problems)
    for name in names[:4]:  # folders that say what pictures show are not given up for such a table
        (place / "x").mkdir(exist_ok=True)
        (place / name).rename(place / "x" / name)
    assert recognise(place, Options())[0] == "multi_label"  # one folder is none of a class
    for name in names[4:]:
        (place / "y").mkdir(exist_ok=True)
        (place / name).rename(place / "y" / name)
    assert recognise(place, Options())[0] == "image_classification"


def test_the_table_is_named_where_it_names_too_few_pictures(tmp_path: Path) -> None:
    table = "label,picture\ncat,a.png\ndog,u.png\ncat,v.png\ndog,w.png\n"
    place = folder(tmp_path, table, ("a.png", "b.png"))
    for look in (inspect, lambda path: recognise(path, Options())):
        with pytest.raises(InputError) as caught:
            look(place)
        said = str(caught.value)
        assert (
            "no column of labels.csv names pictures here: the nearest is 'picture', in which 1 of 4" in said
        )
        assert "the first that does not is 'u.png'" in said and "labels.csv, line 3" in said
        assert "nor tables" not in said
    (place / "more.csv").write_text("file,labels\na.png,x\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"2 tables \(labels\.csv, more\.csv\), of which one may name them"):
        inspect(place)


def test_inspection_counts_labels_and_names_what_is_wrong(tmp_path: Path) -> None:
    found = inspect(folder(tmp_path, "file,labels\na.png,cat; tree\nb.png,\nc.png,cat\nsub/d.png,house\n"))
    assert found.kind == "pictures with labels" and {"label cat: 2", "label house: 1"} <= set(found.saw)
    assert found.facts["pictures"] == 4 and any("fewer than" in problem for problem in found.problems)
