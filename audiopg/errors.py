"""The one exception for failures that a user can cause and fix, and the remedy that many share."""


class AudiopgError(Exception):
    """An expected failure: bad parameter, bad file, missing data.

    The message is one line that names the place, the value and what is allowed. The command line prints it
    without a traceback and exits with code 2.
    """


# for a missing or damaged recording; audiopg does not fetch own recordings
DOWNLOAD_AGAIN = "download it again (for a benchmark: `audiopg fetch --check`)"
