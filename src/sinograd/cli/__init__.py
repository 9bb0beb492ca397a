"""The command `sinograd`: one module a command, and `app` that puts them together."""


def main() -> None:
    """Run the command line (the entry point that pip installs as `sinograd`)."""
    import sys

    code: object = 1
    _let_waiting_threads_sleep()
    try:
        from sinograd.interrupts import raised_as_interrupts

        sys.unraisablehook = _unraisable
        with raised_as_interrupts():
            from sinograd.cli.app import app

            app(prog_name="sinograd")
    except SystemExit as ended:
        code = ended.code
    except BaseException as error:
        code = _start_up_code(error)
    # What is left is Python's own end, which no signal needs to disturb.
    from sinograd.interrupts import quiet

    quiet()
    sys.exit(code)  # pyright: ignore[reportArgumentType]


def _let_waiting_threads_sleep() -> None:
    """Before torch loads its OpenMP: threads that wait for others sleep, unless the environment says otherwise.

    By default they spin for a while. Where other processes want the processors, too, a thread that spins keeps them
    from the one it waits for: many small operations then take more than ten times as long.
    """
    import os

    if not any(name in os.environ for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")):
        os.environ["OMP_WAIT_POLICY"] = "passive"


def _start_up_code(error: BaseException) -> int:
    """The exit code of what ended the command outside of `app`, such as Ctrl-C while modules are imported."""
    import sys

    from sinograd.interrupts import received

    number = received()
    if number is None and not isinstance(error, KeyboardInterrupt):
        return _failed_start_code(error)
    print("sinograd: interrupted", file=sys.stderr)
    return 128 + (number or 2)


def _failed_start_code(error: BaseException) -> int:
    import sys

    try:
        from sinograd.cli.errors import reported_code
    except Exception:
        print(f"sinograd: cannot start: {type(error).__name__}: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    return reported_code(error)


def _unraisable(about: object) -> None:
    """An interrupt that came where Python cannot raise it, while an object was deleted, say, comes again."""
    import os
    import signal
    import sys
    import threading

    if not isinstance(getattr(about, "exc_value", None), KeyboardInterrupt):
        sys.__unraisablehook__(about)  # pyright: ignore[reportArgumentType]
        return
    from sinograd.interrupts import received

    again = threading.Timer(0.01, os.kill, (os.getpid(), received() or signal.SIGINT))
    again.daemon = True
    again.start()
