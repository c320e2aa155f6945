"""`python -m batuta`: the command, under the interpreter of your choice."""

from batuta.cli import main

if __name__ == "__main__":
    main()
