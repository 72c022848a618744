"""Multi-frame objects of any size in constant memory: write, read, transcode."""
