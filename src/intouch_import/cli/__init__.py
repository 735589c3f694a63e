"""The command ``intouch-import``."""

__all__ = ["main"]


def main() -> None:
    """Run the command line."""
    from intouch_import.cli.app import run

    run()
