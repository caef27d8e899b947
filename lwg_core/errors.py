"""The one error that means "the input is wrong": its text is a sentence for the user."""


class InputError(ValueError):
    """A bad input. The message names the input, what is wrong and what would be right.

    The command line prints it and exits with code 2; nodes raise it as an execution error.
    """
