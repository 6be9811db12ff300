"""The template of a chat model: a small program, written in Jinja, that lays messages out as one text.

It comes with the weights, so it is somebody else's program. It runs in Jinja's sandbox, which gives it no
attribute that begins with an underscore and nothing to change, and here within bounds of its own: so many
steps, so much time and memory, so long a text, and only the methods, filters and tests that such templates
need. Names and filters are those that transformers gives a template.
"""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import jinja2

from fathom.deployment.chat.bounds import STEPS, Exhausted, today, watched
from fathom.deployment.chat.sandbox import Bounded
from fathom.errors import InputError

LONGEST = 200_000  # characters of a template
RENDERED = 10_000_000  # characters of the text
FILE = "<template>"  # the file that Jinja says a template is in

Message = Mapping[str, Any]


class Template:
    """A chat template. Raises ``InputError`` for one that is too long or is no Jinja."""

    def __init__(self, source: str, specials: Mapping[str, str] | None = None) -> None:
        if len(source) > LONGEST:
            raise InputError(
                f"the chat template has {len(source):,} characters; at most {LONGEST:,} are read"
            )
        environment = Bounded(raise_exception=refuse, strftime_now=today)
        self.specials = dict(specials or {})
        try:
            self.template = watched(lambda: environment.from_string(source), sys.maxsize, "")
        except jinja2.TemplateSyntaxError as error:
            raise InputError(
                f"the chat template is no Jinja: {error.message}, line {error.lineno}"
            ) from error
        except Exhausted as error:
            raise InputError(f"the chat template was stopped while it was read: {error}") from error
        except (RecursionError, MemoryError) as error:
            raise InputError("the chat template cannot be read: it is nested too deeply") from error
        except SyntaxError as error:  # Jinja writes Python, and leaves some checks to it
            raise InputError(f"the chat template cannot be read: {error.msg}") from error
        except Exception as error:  # it is somebody else's program that made Jinja fail
            raise InputError(f"the chat template cannot be read: {error}") from error

    def render(self, messages: Sequence[Message], *, begin_answer: bool = True, **given: Any) -> str:
        """The text of ``messages``, each with a ``role`` and ``content``.

        ``begin_answer`` adds what stands before the model's own words; ``given`` are further names that some
        templates read, such as ``tools``. Raises ``InputError`` where the template refuses the messages, uses
        what it may not, or goes beyond its bounds.
        """
        names = {**self.specials, "messages": list(messages), "add_generation_prompt": begin_answer, **given}
        try:
            return watched(lambda: self.text(names), STEPS, FILE)
        except Exhausted as error:
            raise InputError(f"the chat template was stopped: {error}") from error
        except RecursionError as error:
            raise InputError("the chat template was stopped: it calls itself without end") from error
        except MemoryError as error:
            raise InputError("the chat template was stopped: there is no more memory") from error
        except Exception as error:  # whatever else somebody else's program runs into
            raise InputError(f"the chat template does not take these messages: {error}") from error

    def text(self, names: Mapping[str, Any]) -> str:
        """What the template writes, counted piece by piece."""
        size, found = 0, list[str]()
        for part in self.template.generate(**names):
            size += len(part)
            if size > RENDERED:
                raise Exhausted(f"its text is longer than {RENDERED:,} characters")
            found.append(part)
        return "".join(found)


def refuse(reason: str) -> str:
    """``raise_exception`` of templates."""
    raise jinja2.TemplateError(reason)
