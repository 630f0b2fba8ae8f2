"""Run the command line with ``python -m imsminer``."""

from imsminer.cli import main

if __name__ == "__main__":
    main()
