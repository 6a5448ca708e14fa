"""What helps where a recording is whole, but cannot be decoded as it is."""

CONVERT = "convert it to WAV or FLAC"
