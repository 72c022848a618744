"""The C core, one extension module a room. Private: use the package's public names."""
