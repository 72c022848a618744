"""One module a format: what the first bytes of a bitstream say."""

from __future__ import annotations

Parsed = tuple[int | None, int | None, int | None, int | None, dict[str, object]]
