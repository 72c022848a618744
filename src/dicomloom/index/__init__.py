"""Index files: `scan` gives columns, `index` writes tables, `read_tags` reads one file."""
