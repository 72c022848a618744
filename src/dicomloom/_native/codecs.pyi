from typing_extensions import Buffer

class Piece:
    def __buffer__(self, flags: int, /) -> memoryview: ...
    def __len__(self) -> int: ...

class RLEEncoder:
    def __init__(self, rows: int, columns: int, samples: int, sample_bytes: int) -> None: ...
    def bound(self) -> int: ...
    def begin(self) -> None: ...
    def rows(self, data: Buffer) -> None: ...
    def end(self) -> list[bytes | Piece]: ...
    def encode(self, data: Buffer) -> list[bytes | Piece]: ...

def rle_decode(
    data: Buffer,
    rows: int,
    columns: int,
    samples: int,
    sample_bytes: int,
    into: Buffer | None = None,
) -> Buffer: ...

class RasterEncoder:
    def bound(self) -> int: ...
    def begin(self) -> None: ...
    def rows(self, data: Buffer) -> None: ...
    def end(self) -> list[Piece]: ...
    def encode(self, data: Buffer) -> list[Piece]: ...

class JPEGLosslessEncoder(RasterEncoder):
    def __init__(
        self,
        rows: int,
        columns: int,
        samples: int,
        sample_bytes: int,
        bits: int,
        signed: bool,
        *,
        predictor: int = 1,
        shift: int = 0,
        restart_rows: int = 0,
    ) -> None: ...
    def count(self, data: Buffer) -> None: ...

class JPEGLSEncoder(RasterEncoder):
    def __init__(
        self,
        rows: int,
        columns: int,
        samples: int,
        sample_bytes: int,
        bits: int,
        signed: bool,
        *,
        near: int = 0,
        interleave: int = 2,
        restart_rows: int = 0,
    ) -> None: ...

class RasterDecoder:
    def decode(
        self,
        data: Buffer,
        rows: int,
        columns: int,
        samples: int,
        sample_bytes: int,
        bits: int,
        signed: bool,
        into: Buffer | None = None,
    ) -> Buffer: ...

class JPEGLosslessDecoder(RasterDecoder): ...
class JPEGLSDecoder(RasterDecoder): ...
