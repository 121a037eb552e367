"""`python -m launcher` is `ernie-deploy`."""

from launcher.cli.main import main

if __name__ == "__main__":
    main()
