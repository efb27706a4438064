#!/usr/bin/env python3
"""Measures the time from program start to first response, on an existing database.

    benches/cold-start.py target/release/hallpass [RUNS]

Asks a new process for /healthz until it answers, and prints the times in milliseconds. The same
loop runs over `PROGRAM --version` first, so that the cost of starting any process here is known.
"""

import http.client
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def ask(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request("GET", "/healthz")
    assert connection.getresponse().status == 200


def start(program, folder, port):
    settings = {"HALLPASS_BIND": f"127.0.0.1:{port}", "PATH": os.environ["PATH"]}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen([program], cwd=folder, env=settings, **quiet)


def first_answer(program, folder):
    port = free_port()
    began = time.perf_counter()
    service = start(program, folder, port)
    try:
        while True:
            try:
                ask(port)
                return (time.perf_counter() - began) * 1000
            except ConnectionRefusedError:
                time.sleep(0.0005)
    finally:
        service.terminate()
        service.wait()


def bare_start(program):
    began = time.perf_counter()
    subprocess.run([program, "--version"], stdout=subprocess.DEVNULL, check=True)
    return (time.perf_counter() - began) * 1000


def tell(what, times):
    times.sort()
    print(f"{what}: median {statistics.median(times):.1f} ms, from {times[0]:.1f} to {times[-1]:.1f}")


def main():
    program = os.path.abspath(sys.argv[1])
    runs = int(sys.argv[2]) if len(sys.argv) > 2 else 20
    with tempfile.TemporaryDirectory() as folder:
        first_answer(program, folder)  # makes the database and the keys
        tell("--version", [bare_start(program) for _ in range(runs)])
        tell("first answer", [first_answer(program, folder) for _ in range(runs)])


main()
