"""Video into DICOM: what a stream is, which transfer syntax holds it, and the file it makes."""
