"""What an object can be made as: one row a kind, with its SOP classes and its modality."""

from __future__ import annotations

from typing import NamedTuple

from dicomloom.errors import UnsupportedError
from dicomloom.frames.template import MULTI_FRAME_SC

_CLASSES = "1.2.840.10008.5.1.4.1.1."


class Kind(NamedTuple):
    """One row.

    Attributes
    ----------
    name : str
        As ``--as`` takes it.
    modality : str
    image, video, document : str
        SOP Class UIDs, without the root that all storage classes share; empty where this kind
        holds no such thing.
    words : str
        What it is, for people.
    """

    name: str
    modality: str
    image: str
    video: str
    document: str
    words: str

    def sop_class(self, *, frames: int, samples: int, bits: int) -> str:
        """Return the SOP class of an image object.

        Raises
        ------
        UnsupportedError
            This kind has no images, or none of several frames or of these samples.
        """
        if not self.image:
            raise UnsupportedError(f"{self.name} holds no images: try sc or photo")
        if self.name == "sc":
            if frames == 1 and bits > 1:
                return _CLASSES + self.image
            if (samples, bits) not in MULTI_FRAME_SC:
                raise UnsupportedError(
                    f"no Multi-frame Secondary Capture has {samples} samples of {bits} bits "
                    "(PS3.3 A.8.2 to A.8.5)"
                )
            return MULTI_FRAME_SC[samples, bits]
        if bits != 8:
            raise UnsupportedError(
                f"{self.words} has samples of 8 bits, not of {bits} (PS3.3 C.8.12.1): try sc"
            )
        return _CLASSES + self.image

    @property
    def several_frames(self) -> bool:
        """Whether its image objects may have more than one frame."""
        return self.name == "sc"

    @property
    def video_class(self) -> str:
        """The SOP Class UID of video."""
        return _CLASSES + self.video

    @property
    def document_class(self) -> str:
        """The SOP Class UID of an encapsulated document."""
        return _CLASSES + self.document


KINDS = {
    kind.name: kind
    for kind in (
        Kind("sc", "OT", "7", "", "", "Secondary Capture"),
        Kind("photo", "XC", "77.1.4", "77.1.4.1", "", "VL Photographic Image"),
        Kind("dermoscopy", "DMS", "77.1.7", "", "", "Dermoscopic Photography Image"),
        Kind("endoscopy", "ES", "77.1.1", "77.1.1.1", "", "VL Endoscopic Image"),
        Kind("microscopy", "GM", "77.1.2", "77.1.2.1", "", "VL Microscopic Image"),
        Kind("video", "XC", "", "77.1.4.1", "", "Video Photographic Image"),
        Kind("pdf", "DOC", "", "", "104.1", "Encapsulated PDF"),
        Kind("cda", "DOC", "", "", "104.2", "Encapsulated CDA"),
        Kind("stl", "M3D", "", "", "104.3", "Encapsulated STL"),
        Kind("obj", "M3D", "", "", "104.4", "Encapsulated OBJ"),
        Kind("mtl", "M3D", "", "", "104.5", "Encapsulated MTL"),
    )
}


def kind_of(name: str) -> Kind:
    """Return the row of a name.

    Raises
    ------
    ValueError
        There is none.

    Examples
    --------
    >>> kind_of("pdf").document_class
    '1.2.840.10008.5.1.4.1.1.104.1'
    """
    try:
        return KINDS[name]
    except KeyError:
        raise ValueError(f"kind must be auto, {', '.join(KINDS)}, not {name!r}") from None
