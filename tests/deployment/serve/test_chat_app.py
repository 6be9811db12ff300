"""The protocol of OpenAI's clients: with their own client over the loopback, and requests that mean harm."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from tests.deployment.chat.folder import chat_folder
from tests.deployment.serve.conftest import HOST, Client

from fathom.cli.command import main
from fathom.deployment.chat.talker import Manner, Talker
from fathom.deployment.serve.chat_app import ChatApp
from fathom.deployment.serve.gate import Gate
from fathom.deployment.serve.limits import Limits
from fathom.deployment.serve.server import build
from fathom.fundamentals.decoding.token_sampling import Sampling
from fathom.verbs.chat import open_talker, talk

TALK: Any = [{"role": "system", "content": "go on"}, {"role": "user", "content": "how are you?"}]
PATH = "/v1/chat/completions"
TOKEN = "0123456789abcdef0123"


@pytest.fixture(scope="module")
def talker(tmp_path_factory: pytest.TempPathFactory) -> Talker:
    return open_talker(chat_folder(tmp_path_factory.mktemp("chat") / "tiny-chat"))


@pytest.fixture(scope="module")
def expected(talker: Talker) -> str:
    manner = Manner(length=30, sampling=Sampling(temperature=0))
    return "".join(piece.text for piece in talk(talker, TALK, manner))


@pytest.fixture(scope="module")
def served(talker: Talker) -> Iterator[str]:
    """The address of a server in a thread, which asks for a token."""
    import asyncio

    server, listener, address, _ = build(
        lambda gate, limits: ChatApp(talker, gate, limits), port=0, token=TOKEN, drain=0.0
    )
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])), daemon=True)
    thread.start()
    yield address
    server.should_exit = True
    thread.join(20)


@pytest.fixture(scope="module")
def client(served: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{served}/v1", api_key=TOKEN, max_retries=0) as client:
        yield client


@pytest.fixture
def app(talker: Talker) -> Iterator[Client]:
    client = Client(ChatApp(talker, Gate({HOST}, None)))
    yield client
    client.close()


def test_a_whole_answer(client: openai.OpenAI, expected: str, talker: Talker) -> None:
    found = client.chat.completions.create(model="tiny-chat", messages=TALK, max_tokens=30, temperature=0)
    assert found.choices[0].message.content == expected
    assert found.choices[0].message.role == "assistant" and found.model == "tiny-chat"
    assert found.choices[0].finish_reason in ("stop", "length")
    assert found.usage is not None and found.usage.prompt_tokens == len(talker.encode(TALK))
    assert found.usage.total_tokens == found.usage.prompt_tokens + found.usage.completion_tokens


def test_an_answer_in_pieces(client: openai.OpenAI, expected: str) -> None:
    events = list(
        client.chat.completions.create(
            model="tiny-chat", messages=TALK, max_tokens=30, temperature=0, stream=True,
            stream_options={"include_usage": True},
        )
    )  # fmt: skip
    told = [event.choices[0] for event in events if event.choices]
    assert told[0].delta.role == "assistant"
    assert "".join(choice.delta.content or "" for choice in told) == expected
    assert len(told) > 4, "it came in one piece"
    assert told[-1].finish_reason in ("stop", "length")
    assert not any(choice.finish_reason for choice in told[:-1])
    assert len({event.id for event in events}) == 1
    assert events[-1].usage is not None and events[-1].usage.completion_tokens > 0


def test_a_text_is_gone_on_with(client: openai.OpenAI, talker: Talker) -> None:
    found = client.completions.create(model="tiny-chat", prompt="hello world", temperature=0)
    manner = Manner(length=16, sampling=Sampling(temperature=0))
    wanted = "".join(piece.text for piece in talker.answer(talker.begun("hello world"), manner))
    assert found.choices[0].text == wanted
    parts = client.completions.create(model="tiny-chat", prompt="hello world", temperature=0, stream=True)
    assert "".join(part.choices[0].text for part in parts) == wanted


def test_seeds_and_stops(client: openai.OpenAI, expected: str) -> None:
    def answer(**given: Any) -> str:
        made = client.chat.completions.create(model="tiny-chat", messages=TALK, max_tokens=20, **given)
        return str(made.choices[0].message.content)

    assert answer(seed=1) == answer(seed=1) != answer(seed=2)
    stop = expected[5:8]
    assert answer(temperature=0, stop=[stop]) == expected[: expected.index(stop)]


def test_models_are_listed(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["tiny-chat"]
    assert client.models.retrieve("tiny-chat").owned_by == "fathom"


def test_the_client_reads_our_errors(client: openai.OpenAI, served: str) -> None:
    with pytest.raises(openai.BadRequestError, match="tokens; this model reads 160"):
        client.chat.completions.create(
            model="tiny-chat", messages=[{"role": "user", "content": "now " * 300}]
        )
    with pytest.raises(openai.NotFoundError, match="there is no model 'gpt-9' here; it is 'tiny-chat'"):
        client.chat.completions.create(model="gpt-9", messages=TALK)
    with openai.OpenAI(base_url=f"{served}/v1", api_key="wrong" * 5, max_retries=0) as stranger:
        with pytest.raises(openai.AuthenticationError, match="Bearer TOKEN"):
            stranger.models.list()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"messages": None}, "messages is missing"),
        ({"messages": [{"role": "user"}]}, "content is a text"),
        ({"messages": [{"role": "user", "content": "\ud800"}]}, "message 0 is no text in UTF-8: U+D800"),
        ({"temperature": 3}, "temperature is 3; it must be a number from 0 to 2"),
        ({"temperature": True}, "temperature is True"),
        ({"top_p": 0}, "top_p is 0"),
        ({"max_tokens": 1.5}, "max_tokens is 1.5"),
        ({"seed": "a"}, "seed is 'a'"),
        ({"stop": [3]}, "stop is a text or a list of texts"),
        ({"stop": [""]}, "stop has up to 16 texts"),
        ({"n": 2}, "n is not carried out here"),
        ({"tools": [{"type": "function"}]}, "tools is not carried out here"),
        ({"presence_penalty": 0.5}, "presence_penalty is not carried out here"),
        ({"wishes": 3}, "'wishes' is not known here; known: model, messages"),
        ({"stream": "yes"}, "stream is true or false"),
    ],
)
def test_what_is_refused(app: Client, change: dict[str, Any], reason: str) -> None:
    reply = app.post({"messages": TALK, "max_tokens": 2} | change, PATH)
    assert reply.status == 400 and reason in reply.json()["error"]["message"]
    assert reply.json()["error"]["type"] == "invalid_request_error"


def test_a_prompt_with_half_a_letter_is_refused(app: Client) -> None:
    reply = app.post({"prompt": "\ud800", "max_tokens": 2}, "/v1/completions")
    assert (
        reply.status == 400 and "the prompt is no text in UTF-8: U+D800" in reply.json()["error"]["message"]
    )


def test_usual_values_change_nothing(app: Client) -> None:
    usual = {
        "n": 1,
        "tools": [],
        "presence_penalty": 0,
        "logprobs": None,
        "response_format": {"type": "text"},
    }
    assert app.post({"messages": TALK, "max_tokens": 2} | usual, PATH).status == 200


def test_bodies_that_are_no_question(app: Client) -> None:
    for body, reason in ((b"{", "no JSON"), (b"[]", "a JSON object"), (b"\xff", "not UTF-8")):
        reply = app.post(body, PATH)
        assert reply.status == 400 and reason in reply.json()["error"]["message"]
    assert app.post({"messages": TALK}, PATH, host="evil.example").status == 403
    assert app.post({"messages": TALK}, PATH, headers=[("origin", "http://evil.example")]).status == 403
    assert app("GET", "/v1/nothing").status == 404 and app("GET", PATH).status == 405


def test_time_is_bounded(talker: Talker) -> None:
    """An answer that takes too long ends with a status, and the next one is written as if nothing were."""
    client = Client(ChatApp(talker, Gate({HOST}, None), Limits(seconds=0.05)))
    try:
        reply = client.post({"messages": TALK, "max_tokens": 120, "stop": ["never"]}, PATH)
        assert reply.status == 504
        assert client("GET", "/v2/health/ready").json() == {"ready": True}
    finally:
        client.close()


def test_a_conversation_in_the_terminal(
    tmp_path: Path, expected: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = chat_folder(tmp_path / "tiny-chat")
    words = ["--system", "go on", "--prompt", "how are you?", "--temperature", "0", "--length", "30"]
    assert main(["generate", "--chat", str(folder), *words]) == 0
    assert capsys.readouterr().out == expected + "\n"
    assert main(["generate", "--chat", str(folder), *words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["text"] == expected
    lines = iter(["how are you?", "", "and now?", "/quit", "never asked"])
    monkeypatch.setattr("builtins.input", lambda prompt: next(lines))
    assert main(["generate", "--chat", str(folder), *words[:2], *words[4:]]) == 0
    assert expected in capsys.readouterr().out and next(lines) == "never asked"


def test_a_full_conversation_goes_on_without_its_oldest_turns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = chat_folder(tmp_path / "tiny-chat")
    asked: list[list[str]] = []
    encode = Talker.encode

    def noted(self: Talker, messages: Any) -> list[int]:
        tokens = encode(self, messages)
        asked.append([m["content"] for m in messages])
        return tokens

    monkeypatch.setattr(Talker, "encode", noted)
    long = ["first " * 12, "second " * 12, "third " * 12]
    lines = iter([long[0], "x\udcffy", long[1], "now " * 200, long[2], "/quit"])
    monkeypatch.setattr("builtins.input", lambda prompt: next(lines))
    words = ["--system", "go on", "--length", "4", "--top-k", "0"]
    assert main(["generate", "--chat", str(folder), *words]) == 0
    said = capsys.readouterr().err
    assert "message 3 is no text in UTF-8: the byte 0xff stands at place 1" in said
    assert "tokens; this model reads 160" in said and "its oldest message and its answer are left out" in said
    assert asked[-1][0] == "go on" and asked[-1][-1] == long[2].strip()
    assert long[0].strip() not in asked[-1] and not any("now" in text for text in asked[-1])


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["run", "--chat", "folder"], "not both"),
        ([], "name a run folder, or a model that talks with --chat FOLDER"),
        (["--chat", "nowhere"], "holds no tokenizer.json"),
        (["--chat", "nowhere", "--beams", "3"], "--beams does not go with --chat"),
        (["run", "--system", "hi"], "--system goes with --chat FOLDER"),
        (["--chat", "nowhere", "--length", "0"], "--length is 0; allowed: 1 to 1,000,000"),
        (
            ["--chat", "nowhere", "--repetition-penalty", "0"],
            "--repetition-penalty is 0.0; allowed: 0.1 to 10",
        ),
        (["--chat", "nowhere", "--top-k", "-1"], "--top-k is -1; allowed: 0 or more"),
        (["--chat", "nowhere", "--top-p", "0"], "--top-p is 0.0; allowed: 1e-06 to 1"),
        (["--chat", "nowhere", "--min-p", "nan"], "--min-p is nan; allowed: 0 to 1"),
        (["--chat", "nowhere", "--temperature", "-1"], "--temperature is -1.0; allowed: 0 to 10"),
    ],
)
def test_commands_that_are_refused(words: list[str], reason: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["generate", *words]) == 2
    assert reason in capfd.readouterr().err
