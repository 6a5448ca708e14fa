"""Recordings on this machine: downloaded, verified, unpacked once, shared by all projects of a user."""
