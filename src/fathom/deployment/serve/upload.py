"""Files of a form: multipart bodies, parsed in memory, with bounds on parts and headers."""

from typing import Any

from fathom.deployment.serve.limits import Limits, Refused

HEADER_BYTES = 4096


def parts_of(body: bytes, content_type: str, limits: Limits) -> list[Any]:
    """The files of a multipart body as bytes; a form without files is one item, its fields."""
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
    except FormParserError as error:
        raise Refused(400, f"the form is damaged: {error}") from None
    if not form.files and not form.fields:
        raise Refused(400, "the form holds no file")
    return form.files or [form.fields]


class Form:
    """Collects the parts as the parser finds them."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.files: list[bytes] = []
        self.fields: dict[str, str] = {}
        self.begin()

    def begin(self) -> None:
        self.headers: dict[bytes, bytes] = {}
        self.field_name, self.field_value, self.content = b"", b"", b""

    def name(self, data: bytes, start: int, end: int) -> None:
        self.field_name = self._grow(self.field_name, data[start:end])

    def value(self, data: bytes, start: int, end: int) -> None:
        self.field_value = self._grow(self.field_value, data[start:end])

    def header_end(self) -> None:
        self.headers[self.field_name.lower()] = self.field_value
        self.field_name = self.field_value = b""

    def data(self, data: bytes, start: int, end: int) -> None:
        self.content += data[start:end]

    def end(self) -> None:
        from python_multipart.multipart import parse_options_header

        _, options = parse_options_header(self.headers.get(b"content-disposition", b""))
        if len(self.files) + len(self.fields) >= self.limits.items:
            raise Refused(400, f"the form has more than {self.limits.items} parts")
        if b"filename" in options:
            self.files.append(self.content)
        else:
            name = options.get(b"name", b"").decode("utf-8", errors="replace")
            self.fields[name] = self.content.decode("utf-8", errors="replace")

    def _grow(self, so_far: bytes, more: bytes) -> bytes:
        if len(so_far) + len(more) > HEADER_BYTES:
            raise Refused(400, "a header of the form is too long")
        return so_far + more
