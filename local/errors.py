"""What stops a start, in words for the person at the terminal."""


class CannotStartError(Exception):
    """The message says what is wrong and what to do about it."""
