"""All elements of a file, one after the other, as lines for people or as DICOM JSON."""
