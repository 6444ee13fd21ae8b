"""`verify lsp`: a language server for .nnspec files, over standard input and output."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from typing import TYPE_CHECKING

from verify.cli.options import Command
from verify.errors import Place, UsageError, VerifyError

if TYPE_CHECKING:
    from lsprotocol import types
    from pygls.lsp.server import LanguageServer
    from pygls.workspace import TextDocument

    from verify.editor import Meaning


def prepare(values: Namespace) -> Callable[[], int]:
    """Check the call.  Raises UsageError E017 where pygls is not installed."""
    del values
    try:
        import pygls  # noqa: F401
    except ImportError:
        fix = "pip install 'policyproof[lsp]'"
        raise UsageError("E017", "the language server needs the package pygls", fix=fix) from None
    return execute


def execute() -> int:
    """Serve until the editor says exit."""
    server().start_io()
    return 0


def server() -> LanguageServer:
    """The server: diagnostics while typing, hover, go to definition, formatting."""
    from lsprotocol import types
    from pygls.lsp.server import LanguageServer

    from verify import __version__, editor
    from verify.errors import InputError
    from verify.spec.layout import format_text

    made = LanguageServer("verify", __version__)

    def publish(uri: str) -> None:
        document = made.workspace.get_text_document(uri)
        found = [_diagnostic(e, uri) for e in editor.mistakes(document.source, document.path)]
        made.text_document_publish_diagnostics(types.PublishDiagnosticsParams(uri=uri, diagnostics=found))

    @made.feature(types.TEXT_DOCUMENT_DID_OPEN)
    def did_open(params: types.DidOpenTextDocumentParams) -> None:
        publish(params.text_document.uri)

    @made.feature(types.TEXT_DOCUMENT_DID_CHANGE)
    def did_change(params: types.DidChangeTextDocumentParams) -> None:
        publish(params.text_document.uri)

    @made.feature(types.TEXT_DOCUMENT_HOVER)
    def hover(params: types.HoverParams) -> types.Hover | None:
        found = _meaning(made.workspace.get_text_document(params.text_document.uri), params.position)
        if found is None:
            return None
        value = f"```nnspec\n{found.words}\n```"
        return types.Hover(types.MarkupContent(types.MarkupKind.Markdown, value))

    @made.feature(types.TEXT_DOCUMENT_DEFINITION)
    def definition(params: types.DefinitionParams) -> types.Location | None:
        uri = params.text_document.uri
        found = _meaning(made.workspace.get_text_document(uri), params.position)
        return None if found is None else types.Location(uri, _range(found.place))

    @made.feature(types.TEXT_DOCUMENT_FORMATTING)
    def formatting(params: types.DocumentFormattingParams) -> list[types.TextEdit]:
        document = made.workspace.get_text_document(params.text_document.uri)
        try:
            text = format_text(document.source, document.path)
        except InputError:
            return []  # its mistakes are shown already
        whole = types.Range(types.Position(0, 0), types.Position(len(document.lines), 0))
        return [types.TextEdit(whole, text)]

    return made


def _meaning(document: TextDocument, position: types.Position) -> Meaning | None:
    from verify import editor

    at = document.position_codec.position_from_client_units(document.lines, position)
    if at.line >= len(document.lines):
        return None
    return editor.meaning(document.source, document.path, at.line + 1, at.character + 1)


def _diagnostic(error: VerifyError, uri: str) -> types.Diagnostic:
    from lsprotocol import types

    related = [
        types.DiagnosticRelatedInformation(types.Location(uri, _range(mark.place)), mark.label or "here")
        for mark in error.also
    ]
    return types.Diagnostic(
        range=_range(error.place or Place("")),
        message=error.message + (f"\nhelp: {error.fix}" if error.fix else ""),
        severity=types.DiagnosticSeverity.Error,
        code=error.code,
        source="verify",
        related_information=related or None,
    )


def _range(place: Place) -> types.Range:
    """A place in the protocol's units: lines and UTF-16 code units, both from 0."""
    from lsprotocol import types

    line, start = max(0, place.line - 1), max(0, place.column - 1)
    ends = [len(place.source[:at].encode("utf-16-le")) // 2 for at in (start, start + place.width)]
    return types.Range(types.Position(line, ends[0]), types.Position(line, max(ends[1], ends[0] + 1)))


COMMAND = Command(
    name="lsp",
    argument="",
    argument_help="",
    summary="serve an editor: mistakes, hover, definitions, layout",
    description="A language server for .nnspec files on standard input and output: mistakes while typing, units\n"
    "and ranges on hover, go to definition, formatting. docs/editor/ says how to connect an editor.",
    epilog="Needs the package pygls: pip install 'policyproof[lsp]'.",
    options=(),
    prepare=prepare,
)
