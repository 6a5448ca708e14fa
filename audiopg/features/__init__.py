"""Log-mel spectrograms: with torch's operators on any device, and in compiled code on CPUs."""
