"""`python -m sweeper`, where the script is not on the path."""

from sweeper.cli.commands import main

if __name__ == "__main__":
    main()
