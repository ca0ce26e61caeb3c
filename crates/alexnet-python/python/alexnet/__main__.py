"""The program `alexnet`: `python -m alexnet`, and what `pip install` puts on the path."""

from __future__ import annotations

import signal
import sys

from alexnet._native import command_line


def main() -> None:
    """Runs the command line and ends the process with its exit status."""
    # The program has its own handler. An ignored signal stays ignored.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    command_line(["alexnet", *sys.argv[1:]])


if __name__ == "__main__":
    main()
