"""PDFs made by hand, of objects numbered from 1 on: catalog, pages, information, the rest."""

from __future__ import annotations

import zlib

CATALOG = b"<< /Type /Catalog /Pages 2 0 R >>"
PAGE = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 72 72] >>"


def pages(count, first=4):
    kids = b" ".join(b"%d 0 R" % (first + i) for i in range(count))
    return b"<< /Type /Pages /Count %d /Kids [%b] >>" % (count, kids)


def information(title):
    return b"<< /Title " + title + b" /CreationDate (D:20240102030405Z) >>"


def with_table(objects):
    """ISO 32000-1 7.5.4: objects from number 1 on, a table of where they are, a trailer."""
    data, offsets = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n", []
    for number, content in enumerate(objects, 1):
        offsets.append(len(data))
        data += b"%d 0 obj\n%b\nendobj\n" % (number, content)
    size = len(objects) + 1
    table = b"xref\n0 %d\n0000000000 65535 f \n" % size
    table += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    trailer = b"trailer\n<< /Size %d /Root 1 0 R /Info 3 0 R >>\n" % size
    return data + table + trailer + b"startxref\n%d\n%%%%EOF\n" % len(data)


def with_streams(objects):
    """ISO 32000-1 7.5.7, 7.5.8: objects compressed in a stream, and where they are in another."""
    body, places = b"", []
    for number, content in enumerate(objects, 1):
        places.append(b"%d %d" % (number, len(body)))
        body += content + b"\n"
    index = b" ".join(places) + b"\n"
    packed = zlib.compress(index + body)
    holder, table = len(objects) + 1, len(objects) + 2
    data = b"%PDF-1.5\n"
    at = len(data)
    data += b"%d 0 obj\n<< /Type /ObjStm /N %d /First %d /Filter /FlateDecode /Length %d >>\n" % (
        holder, len(objects), len(index), len(packed),
    )  # fmt: skip
    data += b"stream\n" + packed + b"\nendstream\nendobj\n"
    rows = [b"\0" + bytes(4) + b"\xff"]
    rows += [b"\2" + holder.to_bytes(4, "big") + bytes([i]) for i in range(len(objects))]
    rows += [b"\1" + one.to_bytes(4, "big") + b"\0" for one in (at, len(data))]
    packed = zlib.compress(b"".join(rows))
    start = len(data)
    data += b"%d 0 obj\n<< /Type /XRef /Size %d /W [1 4 1] /Root 1 0 R /Info 3 0 R " % (
        table, table + 1,
    )  # fmt: skip
    data += b"/Filter /FlateDecode /Length %d >>\nstream\n" % len(packed) + packed
    return data + b"\nendstream\nendobj\nstartxref\n%d\n%%%%EOF\n" % start
