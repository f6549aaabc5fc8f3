"""A workbook looked at before anything of it is read: what it must not be, and what its sheets hold where.

A workbook (XLSX) is a ZIP archive of XML parts. Each part is unpacked here once, in small pieces and never beyond what
the archive's directory says of it, so that a part that says less than it holds is found out before others believe it.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO
from xml.parsers import expat

from sr_engine.configuration import SheetLimits
from sr_engine.spreadsheets.parts import (
    WAY_OUT,
    CellsPart,
    ContentTypes,
    Handler,
    Relations,
    SharedTexts,
    SheetFacts,
    StringsPart,
    WorkbookPart,
)
from sr_engine.spreadsheets.refusals import SheetRefused

ZIP_MAGIC = b"PK\x03\x04"
_COMPOUND_MAGIC = bytes.fromhex("D0CF11E0A1B11AE1")
_ENCRYPTED_MARK = "EncryptedPackage".encode("utf-16-le")
_LOCAL_HEADER = struct.Struct("<4s22xHH")
_PIECE = 1 << 16
_LARGEST_PLAIN = 5_000_000
"""Bytes of a part that says how others belong together."""
_SMALL = 10_000_000
"""Below so many unpacked bytes the ratio is not judged: small files full of the same pack well."""

_FORBIDDEN = {
    "vbaproject.bin": "it contains macros",
    "vbadata.xml": "it contains macros",
    "xl/macrosheets/": "it contains macros",
    "xl/dialogsheets/": "it contains macros",
    "xl/externallinks/": "it has links to other workbooks or programs (DDE)",
    "xl/embeddings/": "other documents are embedded in it",
    "xl/activex/": "programs (ActiveX) are embedded in it",
    "xl/ctrlprops/": "form controls are embedded in it",
    "xl/webextensions/": "add-ins are embedded in it",
    "xl/connections.xml": "it has connections to data elsewhere",
    "xl/querytables/": "it has connections to data elsewhere",
    "xl/model/": "it has a data model with connections",
}
"""What a part's name in lower case contains, and what that means."""


@dataclass(frozen=True, slots=True)
class WorkbookFacts:
    """What was seen of a workbook."""

    epoch_1904: bool
    """Its days are counted from 1904, as on old Macintosh computers."""
    sheets: Mapping[str, SheetFacts]
    """By name; the order is the workbook's."""
    hidden: frozenset[str]


def refuse_other_kinds(head: bytes, name: str) -> None:
    """Refuse by its first bytes and its name what is neither XLSX nor text."""
    if head.startswith(_COMPOUND_MAGIC):
        if _ENCRYPTED_MARK in head:
            raise SheetRefused("the file is protected by a password: save it without one")
        raise SheetRefused("this is an old .xls workbook, or one protected by a password: save it as .xlsx or CSV")
    suffix = name.rpartition(".")[2].casefold()
    if suffix in {"xlsm", "xltm", "xlam", "xlsb", "xls", "xlt", "ods", "fods", "numbers"}:
        macros = " (it may contain macros)" if suffix in {"xlsm", "xltm", "xlam", "xlsb"} else ""
        raise SheetRefused(f".{suffix} is not read{macros}: save it as .xlsx or CSV")


def look_at(file: BinaryIO, limits: SheetLimits) -> WorkbookFacts:
    """Look at a workbook; raises SheetRefused for what is too big, damaged, or holds what must not come in."""
    try:
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        raise SheetRefused("the workbook is damaged, it cannot be unpacked: save it again") from None
    with archive:
        parts = _directory(archive, limits)
        _refuse_forbidden(parts)
        look = _Look(file, parts, limits)
        return look.all_of_it()


def _directory(archive: zipfile.ZipFile, limits: SheetLimits) -> dict[str, zipfile.ZipInfo]:
    """The parts by name in lower case, in which others look for them; nothing is unpacked yet."""
    entries = [entry for entry in archive.infolist() if not entry.is_dir()]
    if len(entries) > limits.parts:
        raise SheetRefused(f"the workbook consists of {len(entries):,} parts, more than {limits.parts:,}: {WAY_OUT}")
    parts = {entry.filename.replace("\\", "/").lstrip("/").casefold(): entry for entry in entries}
    if len(parts) < len(entries):
        raise SheetRefused(f"the workbook holds the same part twice: {WAY_OUT}")
    if any(entry.flag_bits & 0x1 for entry in entries):
        raise SheetRefused("the file is protected by a password: save it without one")
    if any(entry.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED} for entry in entries):
        raise SheetRefused(f"the workbook is packed in a way that Excel does not use: {WAY_OUT}")
    unpacked = sum(entry.file_size for entry in entries)
    packed = sum(entry.compress_size for entry in entries)
    if unpacked > limits.unpacked_bytes:
        raise SheetRefused(
            f"unpacked, the workbook has {unpacked:,} bytes, more than {limits.unpacked_bytes:,}: split it into several"
        )
    if unpacked > _SMALL and unpacked > packed * limits.ratio:
        raise SheetRefused(
            f"the workbook is packed {unpacked // max(packed, 1):,} times smaller than it is, more than "
            f"{limits.ratio}, as files are that are meant to do harm: {WAY_OUT}"
        )
    return parts


def _refuse_forbidden(parts: Mapping[str, zipfile.ZipInfo]) -> None:
    for name in parts:
        for mark, meaning in _FORBIDDEN.items():
            if mark in name:
                raise SheetRefused(f"the workbook is not read, for {meaning}: {WAY_OUT}")
    if "[content_types].xml" not in parts or "xl/workbook.xml" not in parts:
        raise SheetRefused("this is no workbook that Excel has written: save it as .xlsx or CSV")


class _Look:
    def __init__(self, file: BinaryIO, parts: Mapping[str, zipfile.ZipInfo], limits: SheetLimits) -> None:
        self._file = file
        self._parts = parts
        self._limits = limits

    def all_of_it(self) -> WorkbookFacts:
        workbook = WorkbookPart()
        strings = StringsPart(self._limits)
        seen: dict[str, CellsPart] = {}
        for name in self._parts:
            if name == "[content_types].xml":
                self._parse(name, ContentTypes())
            elif name.endswith(".rels"):
                relations = Relations()
                self._parse(name, relations)
                if name == "xl/_rels/workbook.xml.rels":
                    workbook.targets = relations.targets
            elif name == "xl/workbook.xml":
                self._parse(name, workbook)
            elif name == "xl/sharedstrings.xml":
                self._parse(name, strings)
            elif name.startswith("xl/worksheets/") and name.endswith(".xml"):
                seen[name] = CellsPart(self._limits)
                self._parse(name, seen[name])
            else:
                for _ in self._unpacked(name):
                    pass
        self._check_texts(strings, seen)
        return WorkbookFacts(workbook.epoch_1904, _by_title(workbook, seen), frozenset(workbook.hidden))

    def _check_texts(self, strings: StringsPart, seen: Mapping[str, CellsPart]) -> None:
        """A text that many cells share is in the file once, and in memory as often as it is used."""
        if strings.longest > self._limits.cell_characters:
            raise SheetRefused(
                f"a cell holds {strings.longest:,} characters, more than {self._limits.cell_characters:,}"
            )
        for cells in seen.values():
            if strings.longest * cells.sharing > self._limits.unpacked_bytes:
                exact = SharedTexts(strings.lengths)
                for name, other in seen.items():
                    if other is cells:
                        self._parse(name, exact)
                if exact.characters > self._limits.unpacked_bytes:
                    raise SheetRefused(
                        f"the cells of a sheet hold {exact.characters:,} characters, more than "
                        f"{self._limits.unpacked_bytes:,}: split it into several"
                    )

    def _parse(self, name: str, handler: Handler) -> None:
        if (
            not isinstance(handler, CellsPart | StringsPart | SharedTexts)
            and self._parts[name].file_size > _LARGEST_PLAIN
        ):
            raise SheetRefused(f"the workbook's part {name} is larger than any that Excel writes: {WAY_OUT}")
        parser = expat.ParserCreate()
        parser.ordered_attributes = True
        parser.buffer_text = True

        def refuse(*_: object) -> None:
            raise SheetRefused(f"the workbook's part {name} has a DOCTYPE, which none has that Excel writes: {WAY_OUT}")

        def check_encoding(_version: str, encoding: str | None, _standalone: int) -> None:
            if encoding is not None and encoding.casefold() not in {"utf-8", "us-ascii"}:
                raise SheetRefused(f"the workbook's part {name} is written in {encoding}, not UTF-8: {WAY_OUT}")

        parser.StartDoctypeDeclHandler = refuse
        parser.XmlDeclHandler = check_encoding
        parser.StartElementHandler = handler.start
        if isinstance(handler, StringsPart | SharedTexts):
            parser.EndElementHandler = handler.end
            parser.CharacterDataHandler = handler.text
        first = True
        try:
            for piece in self._unpacked(name):
                if first and piece[:2] in {b"\xfe\xff", b"\xff\xfe", b"\0<", b"<\0"}:
                    raise SheetRefused(f"the workbook's part {name} is written in UTF-16, not UTF-8: {WAY_OUT}")
                first = False
                parser.Parse(piece, False)
            parser.Parse(b"", True)
        except expat.ExpatError as error:
            raise SheetRefused(f"the workbook is damaged: {name}: {error}") from None

    def _unpacked(self, name: str) -> Iterator[bytes]:
        """A part, piece by piece; refused where it is not what the directory says."""
        entry = self._parts[name]
        self._file.seek(entry.header_offset)
        header = self._file.read(30)
        if len(header) < 30 or not header.startswith(ZIP_MAGIC):
            raise SheetRefused(f"the workbook is damaged: {name} is not where it should be")
        _, name_length, extra_length = _LOCAL_HEADER.unpack(header)
        self._file.seek(name_length + extra_length, 1)
        left, length = entry.compress_size, 0
        unpack = zlib.decompressobj(-15) if entry.compress_type == zipfile.ZIP_DEFLATED else None
        while left and (packed := self._file.read(min(_PIECE, left))):
            left -= len(packed)
            while packed:
                try:
                    piece = packed if unpack is None else unpack.decompress(packed, _PIECE)
                except zlib.error:
                    raise SheetRefused(f"the workbook is damaged: {name} cannot be unpacked") from None
                packed = b"" if unpack is None else unpack.unconsumed_tail
                length += len(piece)
                if length > entry.file_size:
                    raise SheetRefused(f"the workbook is damaged or forged: {name} holds more than it says")
                if piece:
                    yield piece
        # What is left in the decompressor has been asked for piece by piece; at the end nothing more may come.
        if unpack is not None:
            piece = unpack.flush()
            length += len(piece)
            if piece:
                yield piece
        if left or length != entry.file_size or (unpack is not None and not unpack.eof):
            raise SheetRefused(f"the workbook is damaged or forged: {name} is not as long as it says")


def _by_title(workbook: WorkbookPart, seen: Mapping[str, CellsPart]) -> dict[str, SheetFacts]:
    sheets: dict[str, SheetFacts] = {}
    for title, relation in workbook.sheets.items():
        target = workbook.targets.get(relation, "").casefold()
        part = target.lstrip("/") if target.startswith("/") else f"xl/{target}"
        if part.startswith("xl/chartsheets/"):
            continue
        if part not in seen:
            raise SheetRefused(f"the workbook is damaged: its sheet {title[:40]!r} is not where sheets are")
        sheets[title] = seen[part].facts
    return sheets
