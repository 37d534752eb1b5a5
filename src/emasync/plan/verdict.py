"""Which of several errors at once decides what happens next."""

from __future__ import annotations

from collections.abc import Iterator

from emasync.errors import EmasyncError, InterruptedRunError, MachineError


def leaves(error: BaseException) -> Iterator[BaseException]:
    """The error itself, or the ones inside a group, at any depth."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from leaves(inner)
    else:
        yield error


def decisive(failure: BaseException) -> BaseException:
    """The error that stops the run, if there is one; else the first one of ours; a bug stays as it came.

    Parameters
    ----------
    failure : BaseException
        An error or a group of errors of tasks that ran side by side.
    """
    errors = list(leaves(failure))
    if not all(isinstance(error, EmasyncError) for error in errors):
        return failure
    stopping = (error for error in errors if isinstance(error, MachineError | InterruptedRunError))
    return next(stopping, errors[0])
