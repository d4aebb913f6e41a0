"""`python -m semcont.paper`: the `semcont` command."""

from .cli import main

if __name__ == "__main__":
    main()
