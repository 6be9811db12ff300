"""Pages without a browser: every topic and view, forms without a script, and what answers leave behind."""

import datetime
import json
import re
from html import escape
from html.parser import HTMLParser
from pathlib import Path

import pytest
from tests.learn.asking import Answer, Browser

from fathom.errors import InputError
from fathom.learn import web
from fathom.learn.engine import confine, curriculum, exercise, figure, progress, roadmaps
from fathom.learn.engine.draw_parts import INK, RULE, SOFT, TONES
from fathom.learn.engine.progress import Log
from fathom.learn.engine.topic import Block, Prediction, Question, SourceBlock
from fathom.learn.engine.verdict import Verdict
from fathom.learn.web import exercises, figures, look, map_page
from fathom.learn.web.layout import BOX, COLUMNS, layout
from fathom.report.style import contrast

STATIC = Path(web.__file__).parent / "static"
SLUG = "gradient-descent"
FIRST = exercise.exercises(SLUG)[0]
VOID = ("meta", "link", "input", "br", "hr", "img", "path", "rect", "circle", "line")


class Checked(HTMLParser):
    """Reads a page; tags that are not closed, ids that are given twice, and what no policy would let pass."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.references: list[str] = []
        self.labels: set[str] = set()
        self.feed(text)
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        assert "style" not in given and not any(name.startswith("on") for name in given), (tag, given)
        if "id" in given:
            self.ids.append(str(given["id"]))
        for name in ("for", "aria-labelledby", "aria-describedby"):
            self.references += str(given.get(name) or "").split()
        self.references += [str(given["href"])[1:]] if str(given.get("href", "")).startswith("#") else []
        if tag == "script":
            assert str(given["src"]).startswith("/static/")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag, (tag, self.getpos())


@pytest.fixture
def browser(tmp_path: Path) -> Browser:
    return Browser(tmp_path)


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Browser:
    """One that changes nothing."""
    return Browser(tmp_path_factory.mktemp("home"))


def whole(answer: Answer) -> str:
    """The text of a page that is one."""
    assert answer.status == 200, answer.text
    page = Checked(answer.text)
    assert len(set(page.ids)) == len(page.ids)
    assert set(page.references) - {""} <= set(page.ids), set(page.references) - set(page.ids)
    return answer.text


# -- pages -----------------------------------------------------------------------------------------
@pytest.mark.parametrize("slug", list(curriculum.heads()))
def test_every_topic_has_a_page(reader: Browser, slug: str) -> None:
    """Written or coming: its title and goal, and for one that is coming the files and papers to read."""
    head, text = curriculum.find(slug), whole(reader.get(f"/topic/{slug}"))
    assert f"<h1>{head.title}</h1>" in text.replace("&amp;", "&").replace("&#x27;", "'")
    if not head.written:
        assert "still to come" in text
        for entry in curriculum.files(head):
            assert f'href="/library/{entry.name}"' in text
        for paper in curriculum.papers(head):
            assert f'">{escape(paper.title)}</a> <small>{escape(paper.address)}</small>' in text
        assert "Read until then" in text or "Where it comes from" in text, "a reader is sent nowhere"


@pytest.mark.parametrize("slug", [slug for slug, head in curriculum.heads().items() if head.written])
def test_every_block_is_shown(reader: Browser, slug: str) -> None:
    text, page = whole(reader.get(f"/topic/{slug}")), curriculum.topic(slug)
    for name in exercise.exercises(slug):
        assert f'id="exercise-{name}"' in text
        for message in exercise.exercise(slug, name).mistakes.values():
            assert message.split("`")[0].split("$")[0].split("*")[0].strip()[:30] in unescaped(text)
    for name in figure.read_figures(page.head.folder or Path()):
        assert f'id="figure-{name}"' in text
    asked = [len(b.options) for b in page.blocks if isinstance(b, Question | Prediction)]
    assert text.count('name="option"') == sum(asked)
    assert text.count('<figure class="quote">') == sum(isinstance(b, SourceBlock) for b in page.blocks)
    assert len(page.blocks) > 20 and all(isinstance(b, Block) for b in page.blocks)


def test_mistakes_of_many_exercises_are_folded(reader: Browser) -> None:
    """Ninety messages in one list are read by nobody; of few exercises they stay one list."""
    many, few = (reader.get(f"/topic/{slug}").text for slug in ("tensors", SLUG))
    assert many.count('<ul class="pitfalls">') == len(exercise.exercises("tensors"))
    assert few.count('<ul class="pitfalls">') == 1
    behind = many.split('id="pitfalls"')[1]
    assert "<details><summary>One hot</summary>" in behind


@pytest.mark.parametrize(
    "slug, part", [(SLUG, "exercises"), ("tensors", "exercises"), ("digits", "milestones")]
)
def test_what_holds_the_code_of_a_learner_is_said_beside_the_exercises(
    reader: Browser, monkeypatch: pytest.MonkeyPatch, slug: str, part: str
) -> None:
    """Once, in the words of the sandbox, whatever this kernel can do."""
    monkeypatch.setattr(confine, "describe", lambda: "Only Python keeps it.")
    text = whole(reader.get(f"/topic/{slug}"))
    assert text.count("Only Python keeps it.") == 1
    assert f'<h2 id="{part}">{part.capitalize()}</h2><p class="hint" id="walls">Only' in text


def unescaped(text: str) -> str:
    return re.sub(r"<[^>]+>", "", text).replace("&quot;", '"').replace("&#x27;", "'").replace("&gt;", ">")


VIEWS = ["", "?track=beginner", "?to=attention", "?hours=5", "?roadmap=002&hours=0.5"]


@pytest.mark.parametrize("query", VIEWS + [f"?roadmap={code}" for code in roadmaps.ROADMAPS])
def test_every_view_of_the_map_is_a_picture_and_a_list(reader: Browser, query: str) -> None:
    text = whole(reader.get(f"/{query}"))
    _, sections = map_page.sections_of(dict(pair.split("=") for pair in query[1:].split("&") if pair))
    topics = [head.slug for _, heads in sections for head in heads]
    walked = re.findall(r'<a class="box[^"]*" href="/topic/([^"]+)"', text)  # by keys, row by row
    assert sorted(walked) == sorted(topics)
    for place, slug in enumerate(walked):
        assert not set(curriculum.find(slug).needs) & set(walked[place:]), (
            f"{slug} comes before what it needs"
        )
    assert sorted(re.findall(r'<li><a href="/topic/([a-z0-9-]+)">', text.split('class="list"')[1])) == sorted(
        topics
    )
    assert ('class="plan"' in text) == ("hours" in query)
    if not query:
        assert len(topics) == 80


WRONG = [
    ("?track=expert", "expert"), ("?hours=many", "no number"), ("?hours=900", "900"),
    ("?to=nowhere", "nowhere"), ("?track=beginner&roadmap=001", "two views"), ("?roadmap=7", "roadmap"),
]  # fmt: skip


@pytest.mark.parametrize("query, said", WRONG)
def test_a_view_that_is_none_says_so(reader: Browser, query: str, said: str) -> None:
    answer = reader.get(f"/{query}")
    assert answer.status == 400 and said in answer.text


def test_what_does_not_exist(reader: Browser) -> None:
    for path in ("/nothing", "/topic/nothing", "/figure/gradient-descent/nothing.svg", "/static/nothing.js"):
        assert reader.get(path).status == 404
    posts = ("quiz/99", "quiz/0", "predict/9", "exercise/nothing", f"exercise/{FIRST}/eat")
    for path in posts:
        assert reader.post(f"/topic/{SLUG}/{path}", {"option": "a"}).status == 404, path
    assert reader.post("/topic/attention/read").status in (204, 303) or curriculum.find("attention").written
    assert reader.get("/library/nothing").status == 400
    assert "class" in whole(reader.get("/library/lenet"))


def test_boxes_do_not_overlap_and_needs_stand_above() -> None:
    for code in roadmaps.ROADMAPS:
        drawing = layout([(stage.title, topics) for stage, topics in roadmaps.stages(code)])
        corners = {(place.x, place.y) for place in drawing.places.values()}
        assert len(corners) == len(drawing.places)
        assert all(0 <= place.x <= COLUMNS * (BOX[0] + 20) for place in drawing.places.values())
        for start, end in drawing.lines:
            assert drawing.places[start].y + BOX[1] < drawing.places[end].y


# -- forms without a script -----------------------------------------------------------------------------
def test_a_quiz_is_answered_and_explained(browser: Browser, tmp_path: Path) -> None:
    block = next(iter(curriculum.topic(SLUG).every(Question)))
    wrong = "abcd"[next(i for i, option in enumerate(block.options) if not option.right)]
    right = "abcd"[next(i for i, option in enumerate(block.options) if option.right)]
    for letter, kind in ((wrong, "bad"), (right, "good")):
        answer = browser.post(f"/topic/{SLUG}/quiz/1", {"option": letter})
        assert (answer.status, answer.headers["location"]) == (303, f"/topic/{SLUG}#quiz-1")
        text = whole(browser.get(f"/topic/{SLUG}"))
        assert f'class="verdict {kind}"' in text and f'value="{letter}" required checked' in text
    events = Log(tmp_path).events()
    assert [(e.kind, e.item, e.answer, e.passed) for e in events] == [
        ("quiz", "1", wrong, False), ("quiz", "1", right, True),
    ]  # fmt: skip
    assert browser.post(f"/topic/{SLUG}/quiz/1", {"option": "z"}).status == 400
    assert browser.post(f"/topic/{SLUG}/quiz/1").status == 400


def test_what_was_done_is_told_in_whole_sentences(browser: Browser, tmp_path: Path) -> None:
    log = Log(tmp_path)
    for kind, item in (
        ("read", ""),
        ("skip", ""),
        ("quiz", "2"),
        ("check", FIRST),
        ("hint", FIRST),
        ("predict", "1"),
    ):
        log.append(kind, SLUG, item, passed=False)
    page = whole(browser.get("/progress")).partition("The last things you did")[2].partition("</ul>")[0]
    told = [
        " ".join(re.sub("<[^>]+>", "", item).partition("UTC")[2].split()) for item in page.split("<li>")[1:]
    ]
    assert told == [
        "guessed before a figure of Gradient descent", f"took a hint for {FIRST} of Gradient descent",
        f"checked {FIRST} of Gradient descent: not yet", "answered question 2 of Gradient descent: not yet",
        "took as known Gradient descent", "read Gradient descent",
    ]  # fmt: skip


def test_the_first_guess_is_kept(browser: Browser) -> None:
    for letter in "ab":
        assert browser.post(f"/topic/{SLUG}/predict/1", {"option": letter}).status == 303
    text = whole(browser.get(f"/topic/{SLUG}"))
    assert "You guessed a." in text and "You guessed b." not in text


def test_a_script_gets_the_part_alone(browser: Browser) -> None:
    answer = browser.post(f"/topic/{SLUG}/quiz/2", {"option": "a"}, x_part="1")
    assert answer.status == 200 and answer.text.startswith('<learn-form id="quiz-2">')
    assert '<template data-for="standing">' in answer.text and "<html" not in answer.text
    assert browser.post(f"/topic/{SLUG}/read", x_part="1").status == 204
    assert "reading" in browser.get("/").text


def test_hints_solutions_and_another_beginning(browser: Browser, tmp_path: Path) -> None:
    made = exercise.exercise(SLUG, FIRST)
    place, path = exercise.answer_path(tmp_path, made), f"/topic/{SLUG}/exercise/{FIRST}"
    text = whole(browser.get(f"/topic/{SLUG}"))
    assert "Hints" not in text and not place.is_file()
    browser.post(f"{path}/hint", {"answer": made.starter})
    text = whole(browser.get(f"/topic/{SLUG}"))
    assert "Another hint" in text and text.count("<h4>Hints</h4>") == 1
    browser.post(f"{path}/solution", {"answer": made.starter + "# mine\r\nand more\r\n"})
    assert "One way to do it" in browser.get(f"/topic/{SLUG}").text
    assert place.read_text(encoding="utf-8") == made.starter + "# mine\nand more\n"
    browser.post(f"{path}/reset", {"answer": made.starter + "# mine\n"})
    text = whole(browser.get(f"/topic/{SLUG}"))
    assert place.read_text(encoding="utf-8") == made.starter
    assert "Begun anew" in text and "Hints" not in text and "One way to do it" not in text
    assert (place.parent / f"{FIRST}.1.txt").read_text(encoding="utf-8").endswith("# mine\n")
    assert [event.kind for event in Log(tmp_path).events()] == ["hint", "solution", "reset"]


def test_what_another_program_wrote_is_not_lost(browser: Browser, tmp_path: Path) -> None:
    made = exercise.exercise(SLUG, FIRST)
    place, path = exercise.begin(tmp_path, made), f"/topic/{SLUG}/exercise/{FIRST}"
    base = re.search(r'name="base" value="(\w+)"', browser.get(f"/topic/{SLUG}").text)
    assert base
    place.write_text("# from an editor\n", encoding="utf-8")
    refused = browser.post(f"{path}/save", {"answer": "# from the page\n", "base": base[1]}, x_part="1").text
    assert "Not saved." in refused and "# from the page" in refused  # nor is what was written here
    assert place.read_text(encoding="utf-8") == "# from an editor\n"
    newer = re.search(r'name="base" value="(\w+)"', refused)
    assert newer
    browser.post(f"{path}/save", {"answer": "# from the page\n", "base": newer[1]})
    assert place.read_text(encoding="utf-8") == "# from the page\n"
    large = browser.post(f"{path}/save", {"answer": "#" * 300_000}, x_part="1").text
    assert "at most 256 KiB" in large and len(place.read_text(encoding="utf-8")) < 100


def test_a_file_that_cannot_be_written_stays_as_it_was(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The text of the page is shown with the reason, and nothing half-written is left beside the file."""
    made = exercise.exercise(SLUG, FIRST)
    place = exercise.begin(tmp_path, made)

    def full(file: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    path = f"/topic/{SLUG}/exercise/{FIRST}/save"
    refused = browser.post(path, {"answer": "# from the page\n"}, x_part="1").text
    assert "No space left on device" in refused and "Make room" in refused and "# from the page" in refused
    assert place.read_text(encoding="utf-8") == made.starter
    assert [file.name for file in place.parent.iterdir()] == [place.name]


def test_a_verdict_is_shown_with_its_mistake(
    browser: Browser, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The words of a check, and what the answer printed, are text whatever they hold."""
    evil = "<img src=x onerror=alert(1)>"
    made = exercise.exercise(SLUG, FIRST)
    twin = next(iter(made.mistakes))
    verdicts = [
        Verdict(False, "value", f"wrong {evil}", output=evil),
        Verdict(False, "value", made.mistakes[twin], twin),
        Verdict(True, "", made.passed),
    ]
    monkeypatch.setattr("fathom.learn.engine.verdict.judge", lambda *given: verdicts.pop(0))
    path = f"/topic/{SLUG}/exercise/{FIRST}"
    text = browser.post(path, {"answer": evil}, x_part="1").text
    assert "Not yet." in text and evil not in text and text.count("&lt;img") == 3
    text = browser.post(path, {"answer": "two"}, x_part="1").text
    assert f"This is the mistake <i>{twin.replace('_', ' ')}</i>" in text
    text = browser.post(path, {"answer": "three"}, x_part="1").text
    assert "Passed." in text and "solved" in text and "Next: " in text
    told = whole(browser.get("/progress"))
    assert made.mistakes[twin].split("`")[0][:20] in unescaped(told) and "1 of" in told
    exercise.answer_path(tmp_path, made).write_text("four", encoding="utf-8")
    assert "Passed." not in browser.get(f"/topic/{SLUG}").text  # that was another text


LINES = {  # what a grader says -> the line of the answer that is marked
    "Your code raised NameError: name 'y' is not defined (line 12: return y)": ' data-line="12"',
    "Python cannot read line 3: '(' was never closed": ' data-line="3"',
    "This needs your split.py, which cannot be used (split.py, line 2: return y)": "",
    "Python cannot read your answer: source code string cannot contain null bytes": "",
    "The output line 4 is wrong.": "",
}


@pytest.mark.parametrize("message", LINES)
def test_a_verdict_names_the_line_of_the_answer(message: str) -> None:
    """Another file's line is none of it; nor is one that an author's words happen to name."""
    assert exercises.at(Verdict(False, "runs", message)) == LINES[message]
    assert exercises.at(Verdict(False, "runs", message, mistake="uphill")) == ""
    assert exercises.at(Verdict(True, "", message)) == ""


def test_skipping_is_a_state(browser: Browser) -> None:
    assert browser.post(f"/topic/{SLUG}/skip").status == 303
    assert "taken as known" in whole(browser.get(f"/topic/{SLUG}"))
    browser.post(f"/topic/{SLUG}/read")
    assert "taken as known" not in whole(browser.get("/progress"))


def test_what_is_due_is_to_be_done_again(browser: Browser, tmp_path: Path) -> None:
    """A topic that was done three days ago comes back, with one exercise; and what changed since is said."""
    names, questions = exercise.exercises(SLUG), len(list(curriculum.topic(SLUG).every(Question)))
    told = [{"kind": "check", "item": name, "passed": True, "exercise": "another"} for name in names]
    told += [{"kind": "quiz", "item": str(n + 1), "passed": True, "answer": "a"} for n in range(questions)]
    then = (progress.now() - datetime.timedelta(days=3)).isoformat()
    lines = [json.dumps({"at": then, "topic": SLUG} | event) for event in told]
    Log(tmp_path).file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    text = whole(browser.get(f"/topic/{SLUG}"))
    assert text.count("once more, from nothing") == 1 and "due again" in text
    assert text.count("changed since you solved it") == len(names)
    assert "due again" in whole(browser.get("/")).partition("Views of the map")[0]  # it is suggested


# -- controls of figures -----------------------------------------------------------------------------
FIGURE = figure.FigureHead(
    "f",
    "A figure.",
    {
        "a": figure.slider(-1.0, 3.0, 2.0, "a"),
        "b": figure.log_slider(0.01, 10.0, 0.1, "b"),
        "c": figure.whole(1, 9, 3, "c"),
        "d": figure.choice(("one", "two"), "one", "d"),
        "e": figure.switch(True, "e"),
        "p": figure.point(0.5, -1.0, (-2.0, 2.0, -3.0, 3.0), "p"),
    },
    live=True,
)


def test_settings_go_through_the_form_and_back() -> None:
    begun = FIGURE.settings({})
    assert figures.settings_of(FIGURE, {}) == begun
    for settings in (begun, {"a": 0.5, "b": 1.0, "c": 7, "d": "two", "e": False, "p": (1.5, 2.5)}):
        fields = dict(figures.asked(FIGURE, settings))
        read = figures.settings_of(FIGURE, fields)
        assert read.pop("b") == pytest.approx(settings["b"], rel=1e-5)
        assert read == {name: value for name, value in settings.items() if name != "b"}
    for name, value in begun.items():
        html = figures.control(FIGURE, name, value)
        Checked(html)
        assert f'name="f.{name}' in html and "<label" in html


NONE = [{"f.a": "x"}, {"f.d": "three"}, {"f.p.x": "1", "f.p.y": ""}, {"f.a": "nan"}, {"f.c": "inf"}]


@pytest.mark.parametrize("query", NONE)
def test_a_setting_that_is_none_is_refused(query: dict[str, str]) -> None:
    with pytest.raises(InputError):
        figures.settings_of(FIGURE, query)


def test_settings_are_held_in_their_range() -> None:
    held = figures.settings_of(FIGURE, {"f.a": "99", "f.b": "999", "f.c": "-5", "f.p.x": "9", "f.p.y": "9"})
    assert (held["a"], held["b"], held["c"], held["p"]) == (3.0, 10.0, 1, (2.0, 3.0))


# -- the files of the pages ------------------------------------------------------------------------------
def test_own_script_is_short_and_no_figure_has_any() -> None:
    """At most 1,200 lines (LEARN, goal 18)."""
    lines = sum(len(file.read_text(encoding="utf-8").splitlines()) for file in STATIC.glob("*.js"))
    assert 200 < lines <= 1200
    assert not list(curriculum.TOPICS.rglob("*.js"))
    for file in STATIC.glob("*.js"):
        for line in file.read_text(encoding="utf-8").splitlines():
            assert len(line) <= 120, file.name


def test_nothing_is_fetched_from_elsewhere() -> None:
    for file in STATIC.iterdir():
        text = file.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|@import|url\(", text), file.name


TINTED = (
    ("good", "good-tint"), ("bad", "bad-tint"), ("ink", "good-tint"), ("ink", "bad-tint"),
    ("ink", "note-tint"), ("accent", "note-tint"), ("soft", "note-tint"), ("page", "accent"),
)  # fmt: skip


def test_colours_can_be_read() -> None:
    """Text has 4.5:1 with what it lies on, in each theme (WCAG 2.2); what only marks has 3:1."""
    for theme in ("light", "dark"):
        for further in ({}, look.CONTRAST[theme]):
            sheet = look.variables(theme, further)
            colours = dict(re.findall(r"--([\w-]+):(#\w+);", sheet))
            for ground in ("page", "surface"):
                texts = ("ink", "soft", "accent", *look.SYNTAX[theme])
                for name in texts:
                    assert contrast(colours[name], colours[ground]) >= 4.5, (theme, name, ground)
            for name, ground in TINTED + tuple((name, "note-tint") for name in look.SYNTAX[theme]):
                assert contrast(colours[name], colours[ground]) >= 4.5, (theme, name, ground)
            for number in range(8):
                assert contrast(colours[f"t{number}"], colours["surface"]) >= 3, (theme, number)


def test_each_colour_of_a_picture_has_its_place_in_a_theme() -> None:
    sheet = look.sheet()
    for colour in (INK, SOFT, RULE, *TONES):
        assert f'.themed [fill="{colour}"]' in sheet and f'.themed [stroke="{colour}"]' in sheet
    assert "prefers-contrast:more" in sheet and "prefers-color-scheme:dark" in sheet
    assert "@media print" in (STATIC / "page.css").read_text(encoding="utf-8")
