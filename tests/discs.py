"""File-sets for the tests of DICOMDIR."""

import numpy as np
import pydicom

from dicomloom import DicomDir
from objects import LAYOUTS, image_object, save


def an_object(path, number=1, **attributes):
    """A small object that has every key of every record."""
    made = image_object(LAYOUTS["8"], [np.zeros((9, 7), "u1")], Rows=9, Columns=7)
    made.SOPInstanceUID = f"1.2.3.9.{number}"
    made.PatientID, made.PatientName = "P1", "Doe^Jane"
    made.StudyDate, made.StudyTime, made.StudyID = "20240102", "030405", "S1"
    made.InstanceNumber = number
    for keyword, value in attributes.items():
        setattr(made, keyword, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    made.file_meta = pydicom.dataset.FileMetaDataset()
    made.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    return save(made, path)


def tree_of(path) -> set[tuple]:
    """Patient, study, series, instance and File ID, as we read them."""
    keywords = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
    return {(*map(node.get, keywords), node.file_id) for node in DicomDir.open(path).instances}
