"""Controls that are filled by hand: what they take, what they refuse and why, and their fields."""

import html
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.learn.asking import Browser
from tests.learn.test_web_pages import Checked
from torch.utils.flop_counter import FlopCounterMode

from fathom.errors import InputError
from fathom.fundamentals.attention.multi_head import MultiHeadAttention
from fathom.fundamentals.attention.scaled_dot_product import attend, attention_weights
from fathom.learn.engine import curriculum
from fathom.learn.engine import table as tables
from fathom.learn.engine.figure import FigureHead, choice, load_figures, read_figures
from fathom.learn.engine.table import table
from fathom.learn.engine.typed import drawing, numbers, text
from fathom.learn.web import figures

SENTENCE = text("one two", 20, "the sentence", words=3, chooses=("which", "mine"))
CHOICE = choice(("given", "mine"), "given", "which")
HEAD = FigureHead("f", "A figure.", {"which": CHOICE, "sentence": SENTENCE}, live=False)
HOSTILE: tuple[Any, ...] = (
    None, True, 7, 10**400, float("nan"), float("inf"), b"x", {}, [], [[]], {"a": [1]}, object(), "x" * 10**7,
    ["x"] * 10**6, "\ud800", "\x00", "a\nb", "a\u202eb",
)  # fmt: skip


def refused(control: Any, value: Any) -> str:
    """The reason; it may not repeat what is long."""
    with pytest.raises(InputError) as told:
        control.read(value)
    assert len(str(told.value)) < 200
    return str(told.value)


def fields_and_back(head: FigureHead, name: str, value: Any) -> None:
    """A value goes into the fields of the form, which have names for everyone, and comes back."""
    settings = head.settings({name: value})
    fields = dict(figures.asked(head, settings))
    assert figures.settings_of(head, fields) == settings == head.settings(settings)
    made = figures.control(head, name, settings[name])
    Checked(made)
    assert f'name="f.{name}' in made and ("<label" in made or "<legend" in made)


# -- a text ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("value", HOSTILE)
def test_a_text_refuses_what_is_none(value: Any) -> None:
    assert refused(SENTENCE, value).startswith("the sentence ")


def test_a_text_says_what_is_wrong() -> None:
    assert refused(SENTENCE, 5) == "the sentence takes a text; 5 was given"
    assert refused(SENTENCE, "x" * 21) == "the sentence takes at most 20 characters, not 21"
    assert refused(SENTENCE, "a\tb").endswith("'\\t' is none")
    assert refused(SENTENCE, "  ") == "the sentence is empty: type something"
    assert refused(SENTENCE, "a b c d") == "the sentence takes at most 3 words, not 4"
    assert SENTENCE.read("  añb   👍 ") == "añb 👍"


@pytest.mark.parametrize("value", ["a", "<b>'\"&", "x=1&f.which=mine", "ä 字 %20"])
def test_a_text_goes_through_the_form_as_it_is(value: str) -> None:
    fields_and_back(HEAD, "sentence", value)
    assert "<b>" not in figures.control(HEAD, "sentence", value)


def test_extremes_of_what_is_typed_are_looked_at() -> None:
    """Else a figure would draw what is given, and nobody would see that its own fails."""
    found = [settings for settings in HEAD.extremes() if "sentence" in settings]
    assert len(found) == 3 and all(settings["which"] == "mine" for settings in found)
    assert [len(settings["sentence"]) for settings in found] == [1, 20, 20]
    assert all(HEAD.settings(settings) for settings in found)
    for folder in (head.folder for head in curriculum.heads().values() if head.folder):
        for drawn in read_figures(folder).values():
            for settings in drawn.extremes():
                assert set(drawn.settings(settings)) == set(drawn.controls)


# -- attention: a sentence of one's own -------------------------------------------------------------------
LOOK = load_figures(curriculum.TOPICS / "attention")["look"]


def test_words_of_ones_own_look_at_each_other() -> None:
    own = {"sentence": "your own", "mine": "A bird sang before they tasted It!", "word": 7}
    (drawn,) = LOOK.frames(own)
    marks: list[Any] = [panel.marks[0] for panel in drawn.panels]
    tokens, table, kinds = marks
    assert tokens.words == ("A", "bird", "sang", "before", "they", "tasted", "It!")
    assert sum(tokens.weights) == pytest.approx(1, abs=0.01) and len(table.values) == 7
    assert [max(range(4), key=lambda row: kinds.values[row][word]) for word in (1, 4, 5, 6)] == [1, 0, 2, 0]
    assert drawn.say.startswith("'It!' takes the most") and "counts as a pronoun" in drawn.say
    (other,) = LOOK.frames(own | {"mine": "one"})
    assert other.say.startswith("'one' takes the most, 100%")


def test_a_sentence_in_the_address_is_drawn_and_markup_stays_text(tmp_path: Path) -> None:
    browser = Browser(tmp_path)
    query = "look.sentence=your+own&look.mine=%3Cscript%3Ealert(1)%3C/script%3E+barked"
    page = browser.get(f"/topic/attention?{query}").text
    assert 'value="&lt;script&gt;alert(1)&lt;/script&gt; barked"' in page and "<script>alert" not in page
    told = browser.get("/topic/attention?look.mine=" + "a+" * 11)
    assert told.status == 400 and "your own sentence takes at most 10 words, not 11" in told.text


def test_who_asks_for_frames_is_told_the_reason_alone(tmp_path: Path) -> None:
    browser, path = Browser(tmp_path), "/figure/attention/look/0123456789ab"
    for given, said in (("x" * 81, "at most 80 characters, not 81"), ("", "is empty: type something")):
        told = browser.post(path, {"look.mine": given}, accept="text/event-stream")
        assert told.status == 400 and told.text.endswith(said) and "<" not in told.text
    assert browser.post(path, {"look.mine": "x" * 10**6 * 2}, accept="text/event-stream").status == 400


# -- numbers, and a drawing -----------------------------------------------------------------------------
TABLE = numbers(((1.0, 2.0, 3.0), (4.0, 5.0, 6.0)), -9.0, 9.0, 0.01, "the table")
SQUARE = drawing(("010", "000", "111"), "the square")
GRIDS = FigureHead("f", "A figure.", {"table": TABLE, "square": SQUARE}, live=False)
WRONG: tuple[Any, ...] = (
    *HOSTILE, [[1, 2, 3]], [[1, 2, 3], [4, 5]], [[1, 2, 3], 7], [[1, 2, 3]] * 10**5, [[1, 2, 3], [1] * 10**6],
    [[1, 2, 3], [4, 5, "6"]], [[1, 2, 3], [4, 5, None]], [[1, 2, 3], [4, 5, True]],
    [[1, 2, 3], [4, 5, float("nan")]], [[1, 2, float("-inf")], [4, 5, 6]], [[1, 2, 3], [4, 5, [6]]],
)  # fmt: skip


@pytest.mark.parametrize("value", WRONG)
def test_a_table_of_numbers_refuses_what_is_none(value: Any) -> None:
    assert refused(TABLE, value).startswith("the table")
    assert refused(SQUARE, value).startswith("the square takes 3 rows of 3 signs, each 0 or 1")


def test_numbers_say_which_of_them_is_wrong_and_are_held_in_their_range() -> None:
    assert (
        refused(TABLE, [[1, 2, 3], [4, 5, "6"]]) == "the table, row 2, column 3 takes a number; '6' was given"
    )
    read = TABLE.read([[10**400, -1e308, 0.123456], [-0.001, 1, 2.666]])
    assert read == ((9.0, -9.0, 0.12), (0.0, 1.0, 2.67)) and str(read[1][0]) == "0.0"
    for rows in (
        ["012", "000", "000"],
        ["01", "000", "000"],
        ["0100", "000", "000"],
        ["\u0660" * 3, "000", "000"],
    ):
        assert "a row was" in refused(SQUARE, rows)


def test_numbers_and_a_drawing_go_through_the_form() -> None:
    fields_and_back(GRIDS, "table", ((0.11, -9, 9), (0, -0.5, 1)))
    fields_and_back(GRIDS, "square", ("111", "000", "101"))
    for settings in GRIDS.extremes():
        (name,) = settings
        fields_and_back(GRIDS, name, settings[name])
    made = figures.control(GRIDS, "table", TABLE.start)
    assert made.count('type="number"') == 6 and 'aria-label="the table, row 2, column 3"' in made
    assert "Drawing needs a script" in figures.control(GRIDS, "square", SQUARE.start)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"f.table.0.0": "1"}, "the table, row 1, column 2 takes a number; nothing was given"),
        ({"f.table.0.0": "x" * 10**5}, "row 1, column 1 takes a number; xxxx"),
        ({f"f.table.{r}.{c}": "nan" for r in range(2) for c in range(3)}, "takes a number; nan was given"),
        ({f"f.table.{r}.{c}": "1e999" for r in range(2) for c in range(3)}, "takes a number; inf was given"),
        ({"f.square": "111"}, "the square takes 3 rows"),
        ({"f.square": "111-000-101-"}, "the square takes 3 rows"),
        ({"f.square": "1" * 10**7}, "the square takes 3 rows"),
        ({"f.square": ""}, "the square takes 3 rows"),
    ],
)
def test_fields_that_hold_no_grid_are_refused(query: dict[str, str], said: str) -> None:
    with pytest.raises(InputError, match=said) as told:
        figures.settings_of(GRIDS, query)
    assert len(str(told.value)) < 200


CONVOLUTION = load_figures(curriculum.TOPICS / "convolution")


def test_the_kernel_of_ones_own_is_the_one_that_slides() -> None:
    """As a given kernel, if the numbers are the same; and the nine products add up to the output."""
    same = ((-1, -1, -1), (-1, 8, -1), (-1, -1, -1))
    for name in ("window", "picture"):
        given, own = (
            next(CONVOLUTION[name].frames(settings))
            for settings in ({"kernel": "outline"}, {"kernel": "your own", "weights": same})
        )
        assert given == own
    (shown,) = CONVOLUTION["window"].frames({"kernel": "your own", "down": 2, "across": 1})
    marks: list[Any] = [panel.marks[0] for panel in shown.panels]
    products, output = marks[1].values[6:], marks[2].values
    assert (
        sum(map(sum, products)) == output[2][1] and f"add up to {output[2][1]:.2f}" in shown.panels[1].title
    )


def test_what_is_drawn_is_the_picture() -> None:
    one = ("1" + "0" * 13, *["0" * 14] * 13)
    (drawn,) = CONVOLUTION["picture"].frames({"picture": "your own", "drawn": one})
    mark: Any = drawn.panels[0].marks[0]
    (cells,) = mark.pictures
    assert [len(cells), sum(map(sum, cells)), cells[1][1], cells[2][2]] == [28, 4, 1, 0]
    assert drawn.say.endswith("You drew 1 of 196 cells.")


# -- a table of one's own ---------------------------------------------------------------------------------
EXAMPLE = "x,y,kind\n1,2,a\n2,1,b\n3,5,a\n4,-1e2,b\n"
OWN = table(EXAMPLE, "the data", chooses=("which", "mine"))
TABLES = FigureHead("f", "A figure.", {"which": CHOICE, "data": OWN}, live=True)


@pytest.mark.parametrize("value", [*HOSTILE, "", "\n" * 1000, "1,2,a\n" * 20000, "ä" * 40000, ",,,\n" * 9])
def test_a_table_refuses_what_is_none(value: Any) -> None:
    assert refused(OWN, value).startswith("the data")


def test_a_table_is_measured_before_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing looks into a text that is too long."""
    monkeypatch.setattr(tables, "labelled", lambda text: pytest.fail("it was read"))
    for value in ("x" * (64 * 1024 + 1), "ä" * (32 * 1024 + 1), "1,2,a\n" * 10**6, b"1,2,a", None):
        assert "64 KiB" in refused(OWN, value) or "takes the text of a CSV" in refused(OWN, value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1,2,a\n2,3,b\n3,4,a\n", "from 4 to 500 rows, not 3"),
        ("x,y,kind\n" + "1,2,a\n2,1,b\n" * 251, "at most 500 rows, not 503"),
        ("1,2,a\n2,1,b\n" * 250 + "1,2,a\n", "from 4 to 500 rows, not 501"),
        (EXAMPLE + "nan,1,a\n", "line 6: 'nan' is no number"),
        (EXAMPLE + "1_0,1,a\n", "line 6: '1_0' is no number"),
        (EXAMPLE + "0x10,1,a\n", "'0x10' is no number"),
        (EXAMPLE + "\u0661,1,a\n", "is no number"),
        (EXAMPLE + '"1,5",1,a\n', "line 6: '1,5' is no number; write it as 1.5"),
        (EXAMPLE + "1e13,1,a\n", "line 6: '1e13' is too large"),
        (EXAMPLE + "1e999,1,a\n", "line 6: '1e999' is too large"),
        (EXAMPLE + "\n\n1,2\n", "line 8 has 2 cells"),
        (EXAMPLE + "1,2,a,b\n", "line 6 has 4 cells"),
        (EXAMPLE + "1,2,\n", "line 6 has no class"),
        (EXAMPLE + "1,2,c\n", "two classes; there are 3: 'a', 'b', 'c'"),
        (EXAMPLE + "1,2," + "c" * 41, "line 6 has a cell of more than 40 characters"),
        (EXAMPLE + '1,2,"a\n', "line 6 cannot be read"),
        (EXAMPLE + "1,2,a\x00\n", "there is a sign '\\x00' in it"),
        ("PK\x03\x04" + EXAMPLE, "save the table as a CSV"),
        (EXAMPLE.replace(",b", ",a"), "two classes; there are 1: 'a'"),
        ("1,2,a\n1,3,b\n1,5,a\n1,4,b\n", "all numbers of 'first column' are equal"),
        ("u,v,w\n3,1e12,a\n1,1e12,b\n2,1e12,a\n5,1e12,b\n", "all numbers of 'v' are equal"),
    ],
)
def test_a_table_says_what_is_wrong_and_where(text: str, said: str) -> None:
    assert said in refused(OWN, text)


def test_a_table_is_read_as_people_write_it() -> None:
    for sep in (",", ";", "\t"):
        for head, columns in (
            ("", ("first column", "second column")),
            ("long, wide, kind\n", ("long", "wide")),
        ):
            rows = ' 1, +2 ,b\r\n\n.5,-1e2,a\r\n3.,4,"b"\n5,6,a'
            read = tables.labelled("\ufeff" + (head + rows).replace(",", sep))
            assert read.columns == columns and read.names == ("a", "b") and read.classes == (1, 0, 1, 0)
            assert read.points == ((1.0, 2.0), (0.5, -100.0), (3.0, 4.0), (5.0, 6.0))
    assert OWN.read(EXAMPLE.replace("\n", "\r\n")) == EXAMPLE == OWN.example
    few, many = OWN.extremes()
    assert len(tables.labelled(few).points) == 4 and len(tables.labelled(many).points) == 500


def test_a_table_is_taken_from_no_address_and_put_into_none() -> None:
    other = EXAMPLE.replace("a", "c")
    assert figures.settings_of(TABLES, {"f.data": other})["data"] == EXAMPLE
    assert figures.settings_of(TABLES, {"f.data": other}, private=True)["data"] == other
    assert dict(figures.asked(TABLES, TABLES.settings({"data": other}))) == {"f.which": "given"}
    made = figures.control(TABLES, "data", "</textarea><b>")
    Checked(made)
    assert "disabled" in made and "<b>" not in made and made.count("<label") == 2


def test_the_program_below_a_figure_reads_a_table_from_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    drawn = load_figures(curriculum.TOPICS / "mlp")["boundary"]
    given = drawn.head.settings({"data": "your own", "mine": EXAMPLE})
    program = figures.script(drawn.head, given, "mlp")
    assert "kind" not in program and 'Path("mine.csv")' in program
    assert "Path" not in figures.script(drawn.head, drawn.head.settings({}), "mlp")
    (tmp_path / "mine.csv").write_text(EXAMPLE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    exec(program, {})
    assert capsys.readouterr().out.splitlines() == [frame.say for frame in drawn.frames(given)]


def test_the_network_learns_a_table_as_it_was_standardised() -> None:
    drawn = load_figures(curriculum.TOPICS / "mlp")["boundary"]
    *_, last = drawn.frames({"data": "your own"})
    mark: Any = last.panels[0].marks[1]
    x = torch.tensor(mark.points)
    assert x.mean(0).abs().max() < 1e-4 and (x.std(0, correction=0) - 1).abs().max() < 1e-4
    assert last.panels[0].x == "length, standardised" and "100% of the points are on" in last.say
    assert "12 points: dots are mouse, squares are rat" in last.say
    far = next(drawn.frames({"data": "your own", "mine": drawn.head.controls["mine"].extremes()[1]}))
    reach = far.panels[0].x_range
    assert reach and all(abs(part) < reach[1] for point in far.panels[0].marks[1].points for part in point)  # type: ignore[attr-defined]


def test_a_table_is_posted_past_the_same_gate_and_within_the_same_limits(tmp_path: Path) -> None:
    browser, path = Browser(tmp_path), "/figure/mlp/boundary/0123456789ab"
    given = {"boundary.data": "your own", "boundary.mine": EXAMPLE, "frames": "1"}
    assert browser.post(path, given, origin="http://example.org").status == 403
    assert browser.post(path, given, origin=None).status == 403
    assert browser.post(path, given, cookie=None).status == 401
    for wrong, said in (("1,2,a\n" * 11000, "at most 64 KiB"), ("1,2\n", "line 1 has 2 cells")):
        told = browser.post(path, given | {"boundary.mine": wrong}, accept="text/event-stream")
        assert told.status == 400 and said in told.text and len(told.text) < 200
    assert browser.post(path, given | {"boundary.mine": "x" * 10**7}).status == 400
    assert not list(tmp_path.rglob("*mine*"))


# -- the program below a figure ----------------------------------------------------------------------------
def test_the_program_is_written_anew_for_other_settings(tmp_path: Path) -> None:
    browser, path = Browser(tmp_path), "/figure/convolution/picture.py"
    begun, moved = (
        html.unescape(re.sub("<[^>]+>", "", browser.post(path, fields).text))
        for fields in ({}, {"picture.stride": "3", "picture.kernel": "outline"})
    )
    drawn = CONVOLUTION["picture"].head
    assert begun == figures.script(drawn, drawn.settings({}), "convolution").rstrip("\n")
    assert "'stride': 3" in moved and "'kernel': 'outline'" in moved and "'stride': 1" in begun
    page = browser.get("/topic/convolution?picture.stride=3").text
    assert '<div class="program"><pre' in page
    assert "'stride': 3" in html.unescape(re.sub("<[^>]+>", "", page))
    told = browser.post(path, {"picture.stride": "x"}, accept="text/event-stream")
    assert (told.status, told.text) == (400, "stride takes a number; 'x' was given")
    assert browser.post(path, {}, origin="http://example.org").status == 403
    assert browser.post("/figure/convolution/nothing.py").status == 404


# -- attention: what each line costs -----------------------------------------------------------------------
def counted(run: Any) -> int:
    """Multiply-adds, as torch counts them: it takes each for two."""
    with FlopCounterMode(display=False) as counter, torch.nn.attention.sdpa_kernel([
        torch.nn.attention.SDPBackend.MATH
    ]):  # fmt: skip
        run()
    return counter.get_total_flops() // 2


def test_the_page_of_attention_says_what_each_line_costs() -> None:
    page = (curriculum.TOPICS / "attention" / "topic.md").read_text(encoding="utf-8")
    code = page.partition("## The real code")[2].partition("## Exercises")[0]
    for quoted in re.findall(r"^(\w[^|\n]+) \| [^\n]+$", code, re.MULTILINE):
        names = [word for word in re.findall(r"[\w.]{4,}\(?", quoted) if word in code.partition("| Line")[2]]
        assert names or "t (g e)" in quoted or "b k t e" in quoted, quoted
    places, width, heads = 12, 8, 2
    query = torch.randn(places, width)
    assert counted(lambda: attention_weights(query, query, causal=True)) == places**2 * width
    assert counted(lambda: attend(query[None, None], query[None, None], query[None, None])) == (
        2 * places**2 * width
    )
    layer = MultiHeadAttention(width, heads).eval()
    assert counted(lambda: layer(query[None])) == 4 * places * width**2 + 2 * places**2 * width
    assert "$4 T d^2 + 2 T^2 d$ multiply-adds" in code and "The products cost the same" in page
