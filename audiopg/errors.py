"""The one exception for failures that a user can cause and mend, and the remedy that many share."""


class AudiopgError(Exception):
    """An expected failure: bad parameter, bad file, missing data.

    The message is one line that names the place, the value and what is allowed. The command line prints it
    without a traceback and exits with code 2.
    """


# against a missing or damaged recording; own recordings are not fetched
BRING_AGAIN = "bring it again (a benchmark's: `audiopg fetch --check`)"
