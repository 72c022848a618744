"""What to propose for C-GET: storage classes whose SCP we are, in which transfer syntaxes."""

from __future__ import annotations

from collections.abc import Collection

from dicomloom.frames.syntaxes import EXPLICIT_LE, IMPLICIT_LE
from dicomloom.network.sending.outgoing import MOST_CONTEXTS, Proposal

# Two contexts each: all that fit beside the one of C-GET. By keyword, from what is seen most.
_COMMON = """
    CT MR EnhancedCT EnhancedMR EnhancedMRColor ComputedRadiography SecondaryCapture
    DigitalXRayImageStorageForPresentation DigitalXRayImageStorageForProcessing
    DigitalMammographyXRayImageStorageForPresentation
    DigitalMammographyXRayImageStorageForProcessing BreastTomosynthesis
    DigitalIntraOralXRayImageStorageForPresentation Ultrasound UltrasoundMultiFrame
    EnhancedUSVolumeStorage
    XRayAngiographic XRayRadiofluoroscopic EnhancedXA EnhancedXRF XRay3DAngiographic
    XRay3DCraniofacial PositronEmissionTomography EnhancedPET NuclearMedicine
    MultiFrameSingleBitSecondaryCapture MultiFrameGrayscaleByteSecondaryCapture
    MultiFrameGrayscaleWordSecondaryCapture MultiFrameTrueColorSecondaryCapture
    VLEndoscopic VideoEndoscopic VLMicroscopic VideoMicroscopic VLSlideCoordinatesMicroscopic
    VLPhotographic VideoPhotographic VLWholeSlideMicroscopy OphthalmicPhotography8Bit
    OphthalmicPhotography16Bit OphthalmicTomography RT RTDoseStorage RTPlanStorage
    RTStructureSetStorage RTIonPlanStorage RTBeamsTreatmentRecordStorage SegmentationStorage
    GrayscaleSoftcopyPresentationStateStorage ColorSoftcopyPresentationStateStorage
    KeyObjectSelectionDocumentStorage BasicTextSRStorage EnhancedSRStorage ComprehensiveSRStorage
    Comprehensive3DSRStorage XRayRadiationDoseSRStorage MammographyCADSRStorage
    EncapsulatedPDFStorage EncapsulatedCDAStorage SpatialRegistrationStorage RawDataStorage
    ParametricMapStorage TwelveLeadECGWaveformStorage GeneralECGWaveformStorage
"""
# What is met most comes first: it gets a context of its own where not all can.
_FIRST = (
    *("1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.90"),
    *("1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.91"),
    *("1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.201"),
)


def common_classes() -> list[str]:
    """Return the SOP classes that are proposed where the peer does not tell which it has."""
    from pydicom._uid_dict import UID_dictionary

    by_keyword = {entry[4]: uid for uid, entry in UID_dictionary.items()}
    names = (one if "Storage" in one else f"{one}ImageStorage" for one in _COMMON.split())
    return [by_keyword[name] for name in names]


def compressed() -> list[str]:
    """Return all transfer syntaxes that pydicom names but for the two that all peers can."""
    from pydicom.uid import AllTransferSyntaxes

    plain = (EXPLICIT_LE, IMPLICIT_LE)
    named = [str(uid) for uid in AllTransferSyntaxes if uid not in (*plain, *_FIRST)]
    return [*_FIRST, *named]


def proposals(classes: Collection[str]) -> list[Proposal]:
    """Return what to propose for some SOP classes, up to 127 contexts; none: the common classes.

    A peer chooses one transfer syntax of each context, and sends an object as it is where that has
    a context. So each syntax gets its own where there is room; where there is not, what every peer
    can read (PS3.5 10.1) is apart from the others.

    Examples
    --------
    >>> made = proposals(["1.2.840.10008.5.1.4.1.1.2"])
    >>> made[0][1], made[1][1]
    (('1.2.840.10008.1.2.1',), ('1.2.840.10008.1.2',))
    >>> len(proposals([]))
    126
    """
    wanted = sorted(classes) or common_classes()
    wanted = wanted[: MOST_CONTEXTS - 1]
    room = (MOST_CONTEXTS - 1) // len(wanted)
    return [(sop_class, group) for sop_class in wanted for group in _groups(room)]


def _groups(room: int) -> list[tuple[str, ...]]:
    """Share all transfer syntaxes out to so many contexts."""
    plain, rest = (EXPLICIT_LE, IMPLICIT_LE), compressed()
    if room == 1:
        return [(*plain, *rest)]
    if room == 2:
        return [plain, tuple(rest)]
    single = [*plain, *rest]
    if room < len(single):
        return [*((syntax,) for syntax in single[: room - 1]), tuple(single[room - 1 :])]
    return [(syntax,) for syntax in single]
