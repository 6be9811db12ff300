"""Chat: a folder of a LLaMA, Mistral or Qwen as transformers saves it, made to talk."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fathom.errors import InputError, missing_extra

if TYPE_CHECKING:
    from fathom.deployment.chat.talker import Manner, Piece, Talker

TOKENIZER, SETTINGS, JINJA = "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"
SPECIAL = ("bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token", "mask_token")


def is_chat_folder(path: str | Path) -> bool:
    """Whether ``path`` looks like a model folder with a tokenizer."""
    return (Path(path) / TOKENIZER).is_file() and (Path(path) / "config.json").is_file()


def open_talker(path: str | Path, *, precision: str = "auto") -> "Talker":
    """The model of a folder with config.json, safetensors, tokenizer.json and a chat template.

    ``precision`` is "float32", "bfloat16" or "auto": float32 on a processor. Raises ``InputError`` where
    something is missing, contradicts the weights, or would run code.
    """
    import torch

    from fathom.architectures.transformers import llama
    from fathom.deployment.chat.talker import Talker
    from fathom.deployment.chat.template import Template
    from fathom.deployment.weight_layout import lay_for_writing
    from fathom.training.model_folder import folder_state
    from fathom.verbs.unreadable import refuse_numbers

    folder = Path(path)
    kinds = {"auto": torch.float32, "float32": torch.float32, "bfloat16": torch.bfloat16}
    if precision not in kinds:
        raise InputError(f"precision is {precision!r}; allowed: {', '.join(kinds)}")
    tokenizer, settings = read_tokenizer(folder), read_object(folder / SETTINGS)
    template = Template(template_of(folder, settings), specials_of(settings))
    try:
        model = llama.from_folder(folder, kinds[precision]).eval()
    except InputError:  # NaN equals nothing, so that tensors of NaN look as if they contradicted each other
        refuse_numbers(str(folder), folder_state(folder))
        raise
    refuse_numbers(str(folder), model.state_dict())
    ends = ends_of(folder, settings, tokenizer)
    refuse_beyond(folder, tokenizer.get_vocab(), ends, model.cfg.vocabulary)
    lay_for_writing(model)
    return Talker(model, tokenizer, template, ends, folder.resolve().name)


def refuse_beyond(folder: Path, words: Mapping[str, int], ends: frozenset[int], vocabulary: int) -> None:
    """Raise ``InputError`` for a token, or an end of a turn, of which the weights know nothing."""
    word, number = max(words.items(), key=lambda pair: pair[1], default=("", -1))
    if number >= vocabulary:
        raise InputError(
            f"{folder / TOKENIZER} gives {word!r} the number {number:,}; the weights have {vocabulary:,}"
            f" tokens, 0 to {vocabulary - 1:,}: take both from one model"
        )
    if strange := sorted(end for end in ends if not 0 <= end < vocabulary):
        raise InputError(
            f"{folder} says that token {strange[0]:,} ends a turn (eos_token_id); the weights have"
            f" {vocabulary:,} tokens, 0 to {vocabulary - 1:,}"
        )


def read_tokenizer(folder: Path) -> Any:
    """The tokenizer of a folder. Raises ``InputError``."""
    try:
        from tokenizers import Tokenizer
    except ImportError:
        raise missing_extra("text", "tokenizers") from None

    file = folder / TOKENIZER
    if not file.is_file():
        raise InputError(f"{folder} holds no {TOKENIZER}; give a whole folder as transformers saves it")
    try:
        return Tokenizer.from_file(str(file))
    except Exception as error:  # the package raises Exception itself
        raise InputError(f"{file} is no tokenizer: {error}") from error


def read_object(file: Path) -> dict[str, Any]:
    """The object of a JSON file, empty where there is no file. Raises ``InputError``."""
    from fathom.training.model_folder import read_json

    return read_json(file) if file.is_file() else {}


def template_of(folder: Path, settings: Mapping[str, Any]) -> str:
    """The source of the chat template, from a file of its own or from the settings. Raises ``InputError``."""
    if (folder / JINJA).is_file():
        try:
            return (folder / JINJA).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{folder / JINJA} cannot be read: {error}") from error
    found = settings.get("chat_template")
    if isinstance(found, list):  # several, by name
        named = {t.get("name"): t.get("template") for t in found if isinstance(t, Mapping)}
        found = named.get("default")
    if not isinstance(found, str):
        raise InputError(
            f"{folder} has no chat template, neither {JINJA} nor chat_template in {SETTINGS}: it goes on with"
            " texts and does not talk; give the folder of a model that was tuned to talk"
        )
    return found


def specials_of(settings: Mapping[str, Any]) -> dict[str, str]:
    """The tokens that templates know by name."""
    found: dict[str, str] = {}
    for name in SPECIAL:
        value = settings.get(name)
        value = value.get("content") if isinstance(value, Mapping) else value
        if isinstance(value, str):
            found[name] = value
    return found


def ends_of(folder: Path, settings: Mapping[str, Any], tokenizer: Any) -> frozenset[int]:
    """The tokens that end a turn, from what the folder says of generation. Raises ``InputError`` for none."""
    found: set[int] = set()
    for file in ("generation_config.json", "config.json"):
        told = read_object(folder / file).get("eos_token_id")
        found |= {t for t in (told if isinstance(told, list) else [told]) if isinstance(t, int)}
    spelled = specials_of(settings).get("eos_token")
    token = tokenizer.token_to_id(spelled) if spelled else None
    found |= {token} if token is not None else set()
    if not found:
        raise InputError(f"{folder} does not say which token ends a turn: eos_token_id in config.json does")
    return frozenset(found)


def talk(talker: "Talker", messages: Sequence[Any], manner: "Manner | None" = None) -> "Iterator[Piece]":
    """The answer to ``messages``, piece by piece. Raises as the talker does."""
    from fathom.deployment.chat.talker import Manner

    return talker.answer(talker.encode(messages), manner or Manner())
