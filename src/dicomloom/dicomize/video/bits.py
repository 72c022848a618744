"""Bits of a coded header, first bit first."""

from __future__ import annotations

from dicomloom.errors import CorruptError

# A parameter set has hundreds of bits; scaling lists and buffering models make a few thousand.
_MOST_BYTES = 4096


def unescape(nal: bytes) -> bytes:
    """Return a NAL unit without its emulation prevention bytes (ISO/IEC 14496-10 7.4.1)."""
    return nal.replace(b"\0\0\3", b"\0\0")


class Bits:
    """A reader of bits that ends with a CorruptError where the bytes do.

    Parameters
    ----------
    data : bytes
        The first 4096 bytes are read, no more.
    what : str
        What is being read, for messages.
    """

    def __init__(self, data: bytes, what: str) -> None:
        data = data[:_MOST_BYTES]
        self._value = int.from_bytes(data, "big")
        self._left = 8 * len(data)
        self._what = what

    def read(self, count: int) -> int:
        """Return the next `count` bits as an unsigned number."""
        if count > self._left:
            raise CorruptError(f"the {self._what} ends within its fields")
        self._left -= count
        return (self._value >> self._left) & ((1 << count) - 1)

    def flag(self) -> bool:
        """Return the next bit."""
        return self.read(1) == 1

    def skip(self, count: int) -> None:
        """Pass over bits."""
        self.read(count)

    def unsigned(self, name: str, most: int) -> int:
        """Return an Exp-Golomb number, ue(v) of ISO/IEC 14496-10 9.1, of at most `most`."""
        zeros = 0
        while not self.flag():
            zeros += 1
            if zeros > 32:
                raise CorruptError(f"{name} of the {self._what} is no Exp-Golomb number")
        value = (1 << zeros) - 1 + self.read(zeros)
        if value > most:
            raise CorruptError(
                f"{name} of the {self._what} is {value}, expected no more than {most}"
            )
        return value

    def signed(self, name: str, most: int) -> int:
        """Return a signed Exp-Golomb number, se(v), from ``-most`` to `most`."""
        value = self.unsigned(name, 2 * most)
        return (value + 1) // 2 if value % 2 else -(value // 2)
