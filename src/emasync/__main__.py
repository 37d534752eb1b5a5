"""``python -m emasync``."""

from emasync.cli.main import main

if __name__ == "__main__":
    main()
