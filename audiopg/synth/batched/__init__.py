"""The renderer for any device, in torch's operators."""
