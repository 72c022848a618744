"""Media file-sets: DICOMDIR, made and read."""
