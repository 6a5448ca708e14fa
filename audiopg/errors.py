"""The one exception for failures that a user can cause and mend."""


class AudiopgError(Exception):
    """An expected failure: bad parameter, bad file, missing data.

    The message is one line that names the place, the value and what is allowed. The command line prints it
    without a traceback and exits with code 2.
    """
