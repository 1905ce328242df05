"""Bytes in, bytes out: the only code that touches FFmpeg."""
