# What the peers in Python have in common; main.go says what the lines are.
import json
import platform
import sys
import time


def serve(version, look):
    """Answers a line with what look makes of the file in it."""
    answer({"version": f"{version}, Python {platform.python_version()}"})
    for line in sys.stdin:
        began = time.process_time()
        descriptor = look(line.rstrip("\n"))
        ms = (time.process_time() - began) * 1000
        answer({"ms": ms, "descriptor": None if descriptor is None else [float(v) for v in descriptor]})


def answer(what):
    print(json.dumps(what), flush=True)
