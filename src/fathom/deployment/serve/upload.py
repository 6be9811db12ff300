"""The body of a /predict request as items: JSON, a form with files, plain text, or a picture itself."""

from collections.abc import Mapping, Sequence
from typing import Any

from fathom.deployment.serve.limits import Limits, Refused, parse_json

HEADER_BYTES = 4096  # of one header of a part
HEADERS = 16  # of one part


class Body:
    """Reads bodies for a model whose items have the named parts ``fields``; none: an item is one thing."""

    def __init__(self, operations: Sequence[Mapping[str, Any]], limits: Limits) -> None:
        self.limits = limits
        wanted = [o["field"] for o in operations if o.get("field") is not None and "default" not in o]
        self.fields = list(dict.fromkeys(wanted))

    def items(self, data: bytes, content_type: str) -> tuple[list[Any], bool]:
        """The items, and whether the client sent a list of them (and wants a list back)."""
        kind = content_type.partition(";")[0].strip().lower()
        if kind in ("application/json", "text/json"):
            value = parse_json(data, self.limits)
            if isinstance(value, dict) and set(value) == {"items"} and isinstance(value["items"], list):
                return value["items"], True
            return [value], False
        if kind == "multipart/form-data":
            files, fields = form_of(data, content_type, self.limits)
            if self.fields:
                return [{**fields, **files}], False
            return (list(files.values()) or [fields]), len(files) > 1
        if kind.startswith("image/") or kind == "application/octet-stream":
            return [self.named(data)], False
        if kind == "text/plain":
            try:
                return [self.named(data.decode("utf-8"))], False
            except UnicodeDecodeError:
                raise Refused(400, "the text is not UTF-8") from None
        raise Refused(415, "send application/json, multipart/form-data, text/plain or an image")

    def named(self, item: Any) -> Any:
        """``item`` under the name of the only part, where items have one."""
        return {self.fields[0]: item} if len(self.fields) == 1 else item


def form_of(body: bytes, content_type: str, limits: Limits) -> tuple[dict[str, bytes], dict[str, str]]:
    """Files and fields of a multipart body by name; files of one name get numbers."""
    from python_multipart.exceptions import FormParserError
    from python_multipart.multipart import MultipartParser, parse_options_header

    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary")
    if not boundary:
        raise Refused(400, "the form has no boundary")
    form = Form(limits)
    callbacks: Any = {
        "on_part_begin": form.begin, "on_header_field": form.name, "on_header_value": form.value,
        "on_header_end": form.header_end, "on_part_data": form.data, "on_part_end": form.end,
    }  # fmt: skip
    try:
        parser = MultipartParser(boundary, callbacks)
        parser.write(body)
        parser.finalize()
    except FormParserError:
        raise Refused(400, "the form is damaged") from None
    if not form.files and not form.fields:
        raise Refused(400, "the form holds no file")
    return form.files, form.fields


class Form:
    """Collects the parts as the parser finds them."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.files: dict[str, bytes] = {}
        self.fields: dict[str, str] = {}
        self.begin()

    def begin(self) -> None:
        self.headers: dict[bytes, bytes] = {}
        self.field_name, self.field_value = b"", b""
        self.content = bytearray()

    def name(self, data: bytes, start: int, end: int) -> None:
        self.field_name = self._grow(self.field_name, data[start:end])

    def value(self, data: bytes, start: int, end: int) -> None:
        self.field_value = self._grow(self.field_value, data[start:end])

    def header_end(self) -> None:
        if len(self.headers) >= HEADERS:
            raise Refused(400, "a part of the form has too many headers")
        self.headers[self.field_name.lower()] = self.field_value
        self.field_name = self.field_value = b""

    def data(self, data: bytes, start: int, end: int) -> None:
        self.content += memoryview(data)[start:end]

    def end(self) -> None:
        from python_multipart.multipart import parse_options_header

        _, options = parse_options_header(self.headers.get(b"content-disposition", b""))
        count = len(self.files) + len(self.fields)
        if count >= self.limits.items:
            raise Refused(400, f"the form has more than {self.limits.items} parts")
        name = options.get(b"name", b"").decode("utf-8", errors="replace")
        if b"filename" not in options:
            self.fields[name] = self.content.decode("utf-8", errors="replace")
            return
        self.files[name if name not in self.files else f"{name} {count}"] = bytes(self.content)

    def _grow(self, so_far: bytes, more: bytes) -> bytes:
        if len(so_far) + len(more) > HEADER_BYTES:
            raise Refused(400, "a header of the form is too long")
        return so_far + more
