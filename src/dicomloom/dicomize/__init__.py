"""DICOM of images, documents and video, and back."""
