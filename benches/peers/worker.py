"""What both workers share: a peer that prepares a network once and runs it whenever it is told to.

The peer's own chatter goes to stderr. On stdout there is one JSON line when it is ready, and one for each line read from stdin.
"""

import json
import os
import resource
import sys
import time

import numpy as np


def serve(prepare):
    """`prepare(network)` returns what to say of the preparation, and a function that runs one encrypted inference and returns its
    times (see `timed`) and the scores."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    name = sys.argv[1]

    def answer(**fields):
        print(json.dumps(fields), file=answers, flush=True)

    import networks

    started = time.perf_counter()
    try:
        facts, run = prepare(name)
    except NotOffered as reason:
        answer(not_offered=str(reason))
        return
    answer(prepare_s=time.perf_counter() - started, **facts)
    expected = networks.infer(name, networks.image())
    for _ in sys.stdin:
        times, scores = run()
        error = float(np.abs(np.asarray(scores) - expected).max())
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        same = int(np.argmax(scores)) == int(np.argmax(expected))
        answer(**times, max_abs_error=error, same_label=same, peak_rss_bytes=peak)


class NotOffered(Exception):
    """The library has no way to run this network."""


def timed(function):
    """Its result, and the milliseconds it took on the clock and of the processor; on a busy machine they differ."""
    clock, processor = time.perf_counter(), time.process_time()
    result = function()
    clock, processor = time.perf_counter() - clock, time.process_time() - processor
    return result, dict(latency_ms=clock * 1e3, processor_ms=processor * 1e3)
