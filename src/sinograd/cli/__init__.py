"""The command `sinograd`: one module a command, and `app` that puts them together."""


def main() -> None:
    """Run the command line (the entry point that pip installs as `sinograd`)."""
    import sys

    try:
        from sinograd.cli.app import app

        app(prog_name="sinograd")
    except KeyboardInterrupt:
        print("sinograd: interrupted", file=sys.stderr)
        sys.exit(130)
