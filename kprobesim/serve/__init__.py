"""The TUI in a browser: a web server that gives each visitor a process of their own.

Needs the extra ``serve`` (``pip install 'kprobesim[serve]'``): aiohttp, and the terminal for browsers of textual-serve.
Visitors are strangers. What keeps them apart from the host is told in `kprobesim.serve.confine`.
"""
