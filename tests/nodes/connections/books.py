"""Workbooks for tests, written by hand: one sheet of cells."""

import zipfile
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from xml.sax.saxutils import escape

_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_REL = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_FORMATS = (0, 14, 22, 21, 46)  # of numbers: general, a day, a moment, a time, a length of time


@dataclass(frozen=True)
class Error:
    """A cell that shows an error, such as #DIV/0!."""

    text: str


@dataclass(frozen=True)
class Formula:
    """A cell with a formula, and what it came to when the book was saved."""

    text: str
    value: object


def write_book(path: Path, rows: list[list[object]], sheet: str = "Orders") -> None:
    """An .xlsx file. In: None, numbers, texts, booleans, days, moments, times, lengths of time, Error and Formula."""
    cells = "".join(
        f"<row>{''.join(_placed(value, line, place) for place, value in enumerate(row))}</row>"
        for line, row in enumerate(rows, 1)
    )
    kinds = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    with zipfile.ZipFile(path, "w") as book:
        book.writestr(
            "[Content_Types].xml",
            f'<Types xmlns="{_PACKAGE}/content-types"><Default Extension="rels" '
            f'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
            f'<Override PartName="/xl/workbook.xml" ContentType="{kinds}.sheet.main+xml"/>'
            f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{kinds}.worksheet+xml"/>'
            f'<Override PartName="/xl/styles.xml" ContentType="{kinds}.styles+xml"/></Types>',
        )
        book.writestr(
            "_rels/.rels",
            f'<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="r1" Type="{_REL}/officeDocument" '
            f'Target="xl/workbook.xml"/></Relationships>',
        )
        book.writestr(
            "xl/workbook.xml",
            f'<workbook xmlns="{_MAIN}" xmlns:r="{_REL}"><sheets><sheet name="{sheet}" sheetId="1" r:id="r1"/></sheets>'
            "</workbook>",
        )
        book.writestr(
            "xl/_rels/workbook.xml.rels",
            f'<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="r1" Type="{_REL}/worksheet" '
            f'Target="worksheets/sheet1.xml"/><Relationship Id="r2" Type="{_REL}/styles" Target="styles.xml"/>'
            "</Relationships>",
        )
        formats = "".join(f'<xf numFmtId="{each}" applyNumberFormat="1"/>' for each in _FORMATS)
        book.writestr("xl/styles.xml", f'<styleSheet xmlns="{_MAIN}"><cellXfs>{formats}</cellXfs></styleSheet>')
        book.writestr(
            "xl/worksheets/sheet1.xml", f'<worksheet xmlns="{_MAIN}"><sheetData>{cells}</sheetData></worksheet>'
        )


def _placed(value: object, line: int, place: int) -> str:
    """A cell with its name, as long as the columns have one letter."""
    return _cell(value).replace("<c", f'<c r="{chr(65 + place)}{line}"', 1) if place < 26 else _cell(value)


def _cell(value: object) -> str:
    if value is None:
        return "<c/>"
    if isinstance(value, Formula):
        return _cell(value.value).replace(">", f"><f>{escape(value.text)}</f>", 1)
    if isinstance(value, Error):
        return f'<c t="e"><v>{value.text}</v></c>'
    if isinstance(value, bool):
        return f'<c t="b"><v>{int(value)}</v></c>'
    if isinstance(value, int | float):
        return f"<c><v>{value!r}</v></c>"
    for style, kind in ((2, datetime), (1, date), (3, time), (4, timedelta)):
        if isinstance(value, kind) and isinstance(value, date | time | timedelta):
            return f'<c s="{style}"><v>{_serial(value)!r}</v></c>'
    return f'<c t="inlineStr"><is><t xml:space="preserve">{escape(str(value))}</t></is></c>'


def _serial(value: date | time | timedelta) -> float:
    """Days since the last of 1899, as Excel counts them."""
    if isinstance(value, timedelta):
        return value / timedelta(days=1)
    if isinstance(value, time):
        return (datetime.combine(date.min, value) - datetime.min) / timedelta(days=1)
    moment = value if isinstance(value, datetime) else datetime.combine(value, time())
    return (moment - datetime(1899, 12, 30)) / timedelta(days=1)
