"""Chat templates against transformers' own rendering, and templates that mean harm."""

import json
import resource
import time
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from fathom.deployment.chat import bounds
from fathom.deployment.chat import template as module
from fathom.deployment.chat.template import Template
from fathom.errors import InputError

# Layouts as the families have them, each written here: what counts is that both render them alike.
HEADERS = """{{- bos_token }}
{%- if messages[0]['role'] == 'system' %}
    {%- set system = messages[0]['content'] | trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system = "" %}
{%- endif %}
<|head|>system<|done|>

{{ system }}<|turn|>
{%- for message in messages %}
    {{- '<|head|>' + message['role'] + '<|done|>\\n\\n' + message['content'] | trim + '<|turn|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|head|>assistant<|done|>\\n\\n' }}
{%- endif %}"""
BRACKETS = """{%- set offset = 1 if messages[0].role == "system" else 0 -%}
{%- for message in messages -%}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == offset) -%}
        {{ raise_exception('user and assistant must take turns') }}
    {%- endif -%}
    {%- if message['role'] == 'system' -%}{% continue %}{%- endif -%}
    {%- if message['role'] == 'user' -%}[ASK] {{ message['content'] }} [/ASK]{%- else -%}
        {% generation %}{{ ' ' + message['content'] + eos_token }}{% endgeneration %}
    {%- endif -%}
{%- endfor -%}"""
TOOLS = """{% if tools %}{{ tools | tojson(indent=2) }}{% endif %}
{% for m in messages %}
    {% set ns = namespace(text='') %}
    {% for c in m.content.split('&') %}{% set ns.text = ns.text ~ c ~ '+' %}{% endfor %}
<{{ m.role }}> {{ ns.text }}{{ {'é': [1, "<b>"]} | tojson }}
{% endfor %}"""
AGENTS = """{%- macro shown(function, deep=1) -%}
    {{ function.name }}({{ function.parameters | dictsort | map('first') | join(', ') }}){{ caller() }}
{%- endmacro -%}
{%- set ns = namespace(last=messages | length - 1, seen=[]) -%}
{%- for m in messages[::-1] if m.role == 'user' and ns.seen | length < 2 -%}
    {%- set ns.last = messages | length - 1 - loop.index0 -%}{%- set ns.seen = ns.seen + [m.content] -%}
{%- endfor -%}
{%- for t in tools or [] -%}
    {% call shown(function=t['function']) %} {{ loop.index }}/{{ loop.length }}{% endcall %}
{%- endfor -%}
{%- if messages | selectattr('role', 'equalto', 'tool') %} lazy{% endif %}
{%- if (messages | selectattr('role', 'in', ['user', 'tool']) | list)[-1] == messages[-1] %} asked{% endif %}
{{ messages | join('-', attribute='role') }} {{ messages | map(attribute='content') | first | length }}
{%- for m in messages %}
{{ 'd' | length ~ m.role[:1] | upper }}{{ m.get('name') is none }}{% for k, v in m.items() %} {{ k ~
    '=' ~ v | replace('e', '3') }}{% endfor %}{{ [1, 2.5, none, (3, 'x')] }}{{ m.content.split(' ', 1)[0] }}
{%- endfor %}{{ 7 // 2 + 2 ** 3 - 5 % 3 }}{{ [3, 1] | sum }}{{ 2.345 | round(1) }}
{{- [1, 1] | unique | list }}"""
TALK = [
    {"role": "system", "content": "  Answer in French. "},
    {"role": "user", "content": "Good day & how\nare you?"},
    {"role": "assistant", "content": "Très bien <b>merci</b>"},
    {"role": "user", "content": " And now {{ 7 * 7 }}? "},
]


def theirs(source: str, messages: list[dict[str, str]], **given: Any) -> str:
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel({"a": 0}, "a")), bos_token="<s>", eos_token="</s>"
    )
    tokenizer.chat_template = source
    return str(tokenizer.apply_chat_template(messages, tokenize=False, **given))


@pytest.mark.parametrize("source", [HEADERS, BRACKETS, TOOLS, AGENTS])
@pytest.mark.parametrize("begin", [True, False])
@pytest.mark.parametrize("first", [0, 1])
def test_renders_as_transformers_does(source: str, begin: bool, first: int) -> None:
    tools = [{"type": "function", "function": {"name": "wettër", "parameters": {}}}]
    ours = Template(source, {"bos_token": "<s>", "eos_token": "</s>"})
    found = ours.render(TALK[first:], begin_answer=begin, tools=tools)
    assert found == theirs(source, TALK[first:], add_generation_prompt=begin, tools=tools)


def test_a_template_may_refuse() -> None:
    with pytest.raises(InputError, match="does not take these messages: user and assistant must take turns"):
        Template(BRACKETS).render([TALK[2]])


def test_what_a_message_says_is_not_a_template() -> None:
    text = Template("{{ messages[0].content }}").render([{"role": "user", "content": "{{ 1 + 1 }}"}])
    assert text == "{{ 1 + 1 }}"


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}", "not done after"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "without end|not done"),
        ("{{ 'a' * 999999999 }}", "repeats something 999999999 times"),
        ("{{ 99 ** 99999999 }}", "it computes"),
        ("{{ '%999999999d' % 3 }}", "formats a text with %"),
        ("{{ ''.__class__.__mro__ }}", "does not take these messages"),
        ("{{ messages.append(1) }}", "does not take these messages"),
        ("{{ cycler.__init__.__globals__ }}", "does not take these messages"),
        ("{% include '/etc/passwd' %}", "does not take these messages"),
        ("{{ lipsum(n=5) }}", "does not take these messages"),
        ("{{ 'a' | center(999999999) }}", "is no Jinja: No filter named 'center'"),
        ("{{ 'a'.ljust(999999999) }}", "it uses ljust"),
        ("{{ {'a': 1} | tojson(indent=99999999) }}", "indents JSON by 99999999"),
        (
            "{% set n = namespace(x='aaaa') %}{% for i in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
            "more than 1,000,000",
        ),
        (
            "{% set n = namespace(x='aaaa') %}{% for i in range(60) %}{% set n.x = n.x + n.x %}{% endfor %}",
            "more than 1,000,000",
        ),
        (
            "{% set n = namespace(x=[1]) %}{% for i in range(60) %}{% set n.x = n.x + n.x %}{% endfor %}",
            "more than 1,000,000",
        ),
        ("{% set x = 'a' * 999999 %}{{ x.replace('a', x) }}", "more than 1,000,000"),
        ("{% set x = 'a' * 999999 %}{{ x | replace('a', x) }}", "more than 1,000,000"),
        ("{% set x = 'a' * 9999 %}{{ ([x] * 900) | join(x) }}", "more than 1,000,000"),
        (
            "{% set b = 'a' * 9999 %}{% set x %}{% for i in range(9999) %}{{ b }}{% endfor %}{% endset %}",
            "more than 1,000,000",
        ),
        ("{{ range(10 ** 9) }}", "does not take these messages"),
        ("{{ '{0:>999999999}'.format('a') }}", "it uses format"),
        (
            "{% set n = namespace(x=3) %}{% for i in range(30) %}{% set n.x = n.x * n.x %}{% endfor %}",
            "a whole number of more than 4,096 bits",
        ),
        ("{{ ([[1] * 1000000] * 20) | sum(start=[]) | length }}", "holds more than 10,000,000"),
        ("{{ ([[1] * 90000] * 30) | sum(start=[]) | length }}", "more than (1,000,000|256 MiB)"),
        ("{{ ('a'.encode() * 10 ** 9) | length }}", "it uses encode of a str"),
        ("{{ 'a'.encode().ljust(3000000000) | length }}", "it uses encode of a str"),
        ("{{ ('a' * 2000).translate({97: 'b' * 1000000}) | length }}", "it uses translate of a str"),
        ("{{ (5).to_bytes(3000000000, 'big') | length }}", "it uses to_bytes of a int"),
        ("{% set x = 'a' * 999999 %}{{ ([x] * 1500) | tojson }}", "holds more than 10,000,000"),
        ("{% set x = 'a' * 999999 %}{{ ([x] * 9) | tojson }}", "more than 1,000,000"),
        ("{% set x = 'a' * 999999 %}{{ ([x] * 9) | string }}", "more than 1,000,000"),
        ("{% set x = 'a' * 999999 %}{{ ([x] * 9) | upper }}", "more than 1,000,000"),
        ("{% set x = 'a' * 999999 %}{{ ([x] * 9) is lower }}", "more than 1,000,000"),
        ("{% set x = 'a' * 999999 %}{{ [x] * 9 }}", "more than 1,000,000"),
        ("{% set x = 'a' * 999999 %}{{ [1, 2] | tojson(separators=(x, x)) }}", "more than 1,000,000"),
        (
            "{% set n = namespace(x=1) %}{% for i in range(60) %}{% set n.x = [n.x, n.x] %}{% endfor %}",
            "holds more than 10,000,000",
        ),
        (
            "{% set n = namespace(x=1) %}{% for i in range(999) %}{% set n.x = (n.x,) %}{% endfor %}",
            "more than 100 lists into one another",
        ),
        ("{% set n = namespace(x=1) %}{% set n.x = n %}{{ n }}", "puts a namespace into"),
        ("{% set x = 'a' * 999999 %}" + "{% set y = x[1:] %}" * 300, "take more than 256 MiB"),
        ("{% set x = 'a' * 999999 %}{{ x.rfind('ab' ~ 'a' * 499999) }}", "rfind with more than 1,000"),
        ("{% set x = 'a' * 999999 %}{{ x.strip('b' * 99999 ~ 'a') }}", "strip with more than 1,000"),
        ("{% set x = 'a' * 999999 %}{{ x | trim('b' * 99999 ~ 'a') }}", "trims more than 1,000"),
        ("{{ range(99999) | unique | list }}", "unique among more than 10,000"),
        ("{{ 1 | round(-1000000000) }}", "rounds to -1000000000 digits"),
        ("{{ strftime_now('%900000000d') }}", "writes the date as '%900000000d'"),
        ("{{ dict.fromkeys(range(100000), 1) }}", "does not take these messages"),
        ("{% set made = dict %}{% set joined_parts = dict %}{{ ['a' * 999999] * 9 }}", "more than 1,000,000"),
        ("{% autoescape true %}{{ 1 }}{% endautoescape %}", "it uses autoescape"),
        ("{% break %}", "cannot be read: 'break' outside loop"),
        ("{% for a in [1] %}" * 25 + "{% endfor %}" * 25, "cannot be read: too many statically nested"),
        ("{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}", "nested too deeply"),
        ("{{ 1" + "0" * 5000 + " }}", "cannot be read: .*4300 digits"),
        ("{{ messages | replace(1, 2) }}{{ 1 / 0 }}", "does not take these messages: division by zero"),
    ],
)
def test_hostile_templates_are_stopped(source: str, reason: str) -> None:
    began, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match=reason):
        Template(source).render([{"role": "user", "content": "hello"}])
    assert time.process_time() - began < 20, "it took as long as it liked"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < before + 2**20, "it took 1 GiB or more"


def test_what_takes_long_is_stopped_by_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "SECONDS", 0.2)
    compared = "{% set t = ['ab' * 300000] * 9 %}" + "{% if t == t[1:] + ['ab' * 300000] %}{% endif %}" * 9999
    with pytest.raises(InputError, match=r"not done after 0\.2 seconds|more than 256 MiB"):
        Template(compared[: compared.rindex("{% if", 0, 150_000)]).render([])
    with pytest.raises(InputError, match=r"while it was read: it is not done after 0\.2 seconds"):
        Template("{% if a %}" + "{% elif b %}x" * 3000 + "{% endif %}")


def test_a_text_without_end_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RENDERED", 1000)
    with pytest.raises(InputError, match="longer than 1,000 characters"):
        Template("{% for i in range(9999) %}hello{% endfor %}").render([])


def test_what_is_no_template_is_refused() -> None:
    with pytest.raises(InputError, match=r"is no Jinja: .*line 2"):
        Template("hello\n{% if %}")
    with pytest.raises(InputError, match="200,001 characters; at most 200,000"):
        Template("a" * 200_001)


def test_all_that_is_written_reads_as_json() -> None:
    """Tools come out as JSON that a model, and a parser, can read back."""
    tools = [{"name": "größe", "parameters": {"x": [1, 2.5, None, True]}}]
    assert json.loads(Template("{{ tools | tojson }}").render([], tools=tools)) == tools


def test_no_file_is_needed(tmp_path: Path) -> None:
    assert Template("{{ strftime_now('%Y') }}").render([]).isdigit()
