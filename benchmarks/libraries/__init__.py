"""One module a library, imported by `worker.py` in that library's interpreter.

Each offers `versions()`, `start(threads)` and `prepare(case, data)`. `data` is a float32 array in sinograd's axes and
world. `prepare` returns `arm`; `arm()` does what is not timed and returns `(call, fetch)`: `call()` is what is timed,
and `fetch(call())` is the result in sinograd's axes, contiguous or not.
"""
