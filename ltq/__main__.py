"""`python -m ltq` is the command `ltq`."""

from ltq.cli._program import program

if __name__ == "__main__":
    program()
