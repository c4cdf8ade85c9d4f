"""The one error that is a person's to mend: a wrong folder, file, option or home."""


class InputError(ValueError):
    """Bad input. The message is one sentence that names the thing and the way out.

    The command line prints the message alone and exits with 2; flows do not retry it.
    """
