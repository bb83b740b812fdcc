"""``python -m kprobesim``: the command line where the script of that name is not on the path."""

from kprobesim.cli.main import main

main()
