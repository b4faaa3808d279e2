"""`python -m ltq` is the command `ltq`."""

from ltq.cli import main

if __name__ == "__main__":
    main(prog_name="ltq")
