"""The routes: all behind the gate; what changes something is a POST; what runs code goes to the worker.

A form that a script sends asks for its own part of the page (``x-part``) and gets that. Sent by a browser
alone, it is answered by the way back to the page, where the same part shows what came of it.
"""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from fathom.errors import InputError
from fathom.learn.engine import curriculum
from fathom.learn.engine.exercise import Exercise, begin
from fathom.learn.engine.progress import Log
from fathom.learn.engine.topic import Block, Prediction, Question, Topic
from fathom.learn.engine.worker import Worker
from fathom.learn.terminal import practice
from fathom.learn.web import study
from fathom.learn.web.asked import asked_of, asks_part, exercise_of, fields, figure_of, head_of
from fathom.learn.web.coming import coming_page
from fathom.learn.web.figures import program, settings_of
from fathom.learn.web.files import served
from fathom.learn.web.gate import Gate, Turned
from fathom.learn.web.library import library_page
from fathom.learn.web.map_page import map_page
from fathom.learn.web.progress_page import progress_page
from fathom.learn.web.questions import option_of
from fathom.learn.web.shell import message
from fathom.learn.web.stages import FASTEST, Stages, Wish
from fathom.learn.web.still import Stills
from fathom.learn.web.stream import Stream
from fathom.learn.web.study import Memory, Study
from fathom.learn.web.topic_page import TopicPage, standing

STAGE = re.compile(r"[A-Za-z0-9-]{8,64}")
TITLES = {400: "This cannot be done", 401: "Not let in", 403: "Refused", 404: "There is nothing here"}


class School:
    """The application's handlers, with what they share."""

    def __init__(self, gate: Gate, home: Path, worker: Worker) -> None:
        self.gate, self.home, self.worker = gate, home, worker
        self.memory = Memory()
        self.stages, self.stills = Stages(worker), Stills(worker)
        self.grading, self.training = asyncio.Lock(), asyncio.Lock()  # of exercises, of milestones

    def routes(self) -> list[Route]:
        topic = "/topic/{slug}"
        return [
            Route("/", self.map),
            Route("/start", self.start),
            Route("/progress", self.progress),
            Route("/library/{name}", self.library),
            Route("/static/{name:path}", self.static),
            Route(topic, self.topic),
            Route(topic + "/skip", self.note, methods=["POST"]),
            Route(topic + "/read", self.note, methods=["POST"]),
            Route(topic + "/quiz/{item:int}", self.quiz, methods=["POST"]),
            Route(topic + "/predict/{item:int}", self.predict, methods=["POST"]),
            Route(topic + "/exercise/{name}", self.check, methods=["POST"]),
            Route(topic + "/exercise/{name}/{action}", self.act, methods=["POST"]),
            Route("/figure/{slug}/{name}.svg", self.still),
            Route("/figure/{slug}/{name}.py", self.program, methods=["POST"]),
            Route("/figure/{slug}/{name}/{stage}", self.play, methods=["POST"]),
        ]

    @contextlib.asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncIterator[None]:
        tidying = asyncio.create_task(self.stages.tidy())
        warming = asyncio.create_task(asyncio.to_thread(self.worker.warm))
        yield
        tidying.cancel()
        warming.cancel()
        await asyncio.to_thread(self.stages.close)

    # -- pages ------------------------------------------------------------------------------------
    async def start(self, request: Request) -> Response:
        """The way in: the token for a cookie. A page that goes on, not a redirect: the browser takes what
        comes after a redirect for a visit from where the link stood, and would keep the cookie back.
        """
        further = '<meta http-equiv="refresh" content="0; url=/">'
        page = message("Welcome", "The map opens.").replace("<title>", further + "<title>", 1)
        headers = {} if self.gate.knows(request.scope) else {"set-cookie": self.gate.admit(request.scope)}
        return HTMLResponse(page, headers=headers)

    async def map(self, request: Request) -> Response:
        return HTMLResponse(map_page(self.study().desk, dict(request.query_params)))

    async def progress(self, request: Request) -> Response:
        return HTMLResponse(progress_page(self.study()))

    async def library(self, request: Request) -> Response:
        return HTMLResponse(library_page(request.path_params["name"]))

    async def static(self, request: Request) -> Response:
        return served(request.path_params["name"], request.headers.get("accept-encoding", ""))

    async def topic(self, request: Request) -> Response:
        head = head_of(request)
        if not head.written:
            return HTMLResponse(coming_page(head, self.study()))
        shown = TopicPage(curriculum.topic(head.slug), self.study(), dict(request.query_params))
        return HTMLResponse(shown.html())

    def study(self) -> Study:
        return study.study(self.home, self.memory)

    # -- what a learner does ----------------------------------------------------------------------
    async def note(self, request: Request) -> Response:
        """That a page was read, or is taken as known.

        A page that is only open says by script that it was read. What is taken as known stays so then: it is
        the button that takes it up again.
        """
        head, kind = head_of(request), request.url.path.rpartition("/")[2]
        begins = ("new",) if asks_part(request) else ("new", "skipped")
        if kind == "skip" or self.study().desk.state(head.slug) in begins:
            Log(self.home).append(kind, head.slug)
        return Response(status_code=204) if asks_part(request) else back(head.slug, "")

    async def quiz(self, request: Request) -> Response:
        topic, item, block = asked_of(request, Question)
        letter = (await fields(request)).get("option", "")
        option = option_of(block, letter)
        if option is None:
            raise InputError("Choose one of the answers.")
        Log(self.home).append("quiz", topic.head.slug, str(item), passed=option.right, answer=letter)
        return self.part(request, topic, block)

    async def predict(self, request: Request) -> Response:
        topic, item, block = asked_of(request, Prediction)
        letter = (await fields(request)).get("option", "")
        if option_of(block, letter) is None:
            raise InputError("Choose one of the guesses.")
        Log(self.home).append("predict", topic.head.slug, str(item), answer=letter)
        return self.part(request, topic, block)

    async def check(self, request: Request) -> Response:
        """Save the answer and grade it."""
        topic, block, made = exercise_of(request)
        if await self.saved(request, made):
            async with self.training if made.milestone else self.grading:
                await asyncio.to_thread(study.check, self.worker, self.study(), made)
        return self.part(request, topic, block)

    async def act(self, request: Request) -> Response:
        """Save the answer; then a hint, a solution, another beginning, or nothing more."""
        topic, block, made = exercise_of(request)
        action = request.path_params["action"]
        if action not in ("hint", "solution", "reset", "save"):
            raise Turned(404, "An exercise knows hint, solution, reset and save.")
        if not await self.saved(request, made):
            pass
        elif action == "hint":
            practice.hint(self.home, made)
        elif action == "solution":
            practice.solution(self.home, made)
            self.memory.solutions.add(made.key)
        elif action == "reset":
            study.begin_anew(self.study(), made)
        return self.part(request, topic, block)

    async def saved(self, request: Request, made: Exercise) -> bool:
        """Write what the form holds to the learner's file; False where that is refused, which is shown."""
        given = await fields(request)
        begin(self.home, made)
        answer = given.get("answer", "").replace("\r\n", "\n")
        reason = study.save(self.home, made, answer, given.get("base", ""))
        if reason:
            self.memory.refusals[made.key] = (reason, answer)
        return not reason

    def part(self, request: Request, topic: Topic, block: Block) -> Response:
        """The part of the page that a form belongs to, as it is now."""
        page = TopicPage(topic, self.study(), {})
        key, html = page.part(block)
        if not asks_part(request):
            return back(topic.head.slug, key)
        return HTMLResponse(
            f'{html}<template data-for="standing">{standing(page.study, topic.head)}</template>'
        )

    # -- figures ----------------------------------------------------------------------------------
    async def still(self, request: Request) -> Response:
        """A picture of a figure where no script runs: as it stands, or as its run ends."""
        folder, head = figure_of(request)
        drawn = await self.stills.draw(folder, head, settings_of(head, dict(request.query_params)))
        return Response(drawn, media_type="image/svg+xml")

    async def program(self, request: Request) -> Response:
        """The program below a figure, for the settings that its page has now."""
        _, head = figure_of(request)
        settings = settings_of(head, await fields(request), private=True)
        return HTMLResponse(program(head, settings, request.path_params["slug"]))

    async def play(self, request: Request) -> Response:
        """Frames of a figure as server-sent events, until it ends or nobody listens."""
        folder, head = figure_of(request)
        given, key = await fields(request), request.path_params["stage"]
        if not STAGE.fullmatch(key):
            raise Turned(404, "There is no such stage.")
        try:
            frames, pace = int(given.get("frames", "0")), float(given.get("pace", FASTEST))
        except ValueError:
            raise InputError("frames and pace are numbers") from None
        wish = Wish(settings_of(head, given, private=True), max(frames, 0), "anew" in given, pace)
        return Stream(self.stages.stage(key, folder, head.name).play(wish))


def back(slug: str, key: str) -> Response:
    return RedirectResponse(f"/topic/{slug}" + (f"#{key}" if key else ""), 303)


async def refused(request: Request, error: Exception) -> Response:
    """A reason for people; never a traceback. Who asked for frames has a place of its own to show it."""
    status = error.status if isinstance(error, Turned) else getattr(error, "status_code", 400)
    reason = getattr(error, "detail", None) or str(error)
    if "text/event-stream" in request.headers.get("accept", ""):
        return PlainTextResponse(reason, status)
    return HTMLResponse(message(TITLES.get(status, "This went wrong"), reason), status)
