"""Runs a page of docs/tutorials word for word.

    tutorial.py HALLPASS PAGE [COMMAND...]   with the program HALLPASS, in an empty folder

The service runs on 127.0.0.1:8000. `sh` blocks run one after the other in one shell, in which
HALLPASS is the path of this repository, `hallpass` is the program, and HALLPASS_DATA_DIR the folder
of the service. A block whose text before says “leave it running” runs
beside the others, once the address in that text answers. A block after “Save as `NAME`” becomes a
file. A `json` or `text` block is the expected output of the block of commands before it. COMMAND
runs at the end, while everything is still running.
"""

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from readme import Shell, compare, out_of_time

ROOT = Path(__file__).resolve().parent.parent
START_LIMIT = 60  # seconds


def blocks(page):
    """The fenced blocks of a page as (language, content, the paragraph before)."""
    text = Path(page).read_text(encoding="utf-8")
    for found in re.finditer(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        paragraph = text[: found.start()].rstrip().rsplit("\n\n", 1)[-1]
        yield found[1], found[2], " ".join(paragraph.split())


def wait_for(host, port):
    deadline = time.monotonic() + START_LIMIT
    while time.monotonic() < deadline:
        try:
            socket.create_connection((host, port), timeout=2).close()
            return
        except OSError:
            time.sleep(0.1)
    sys.exit(f"nothing listens on {host}:{port}")


def walk(page, shell):
    printed = None
    for language, content, before in blocks(page):
        saved = re.search(r"Save as `([^`]+)`", before)
        if saved:
            with tempfile.NamedTemporaryFile("w", encoding="utf-8", delete=False) as file:
                file.write(content)
            shell.run(f"mv '{file.name}' '{saved[1]}'\n")
        elif language == "sh" and "leave it running" in before:
            print(content, end="", flush=True)
            shell.run(f"( {content.strip()} ) >running.log 2>&1 &\n")
            _, host, port = re.search(r"http://(([\w.]+):(\d+))", before).groups()
            wait_for(host, int(port))
        elif language == "sh":
            print(content, end="", flush=True)
            printed = shell.run(content)
            print(printed, end="", flush=True)
        elif language in ("json", "text") and printed is not None:
            compare(content, printed)
            printed = None


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    hallpass, page, command = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve(), sys.argv[3:]
    command = [str(Path(it).resolve()) if Path(it).exists() else it for it in command]
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        Path("service").mkdir()
        os.environ["HALLPASS"] = str(ROOT)
        os.environ["PATH"] = f"{hallpass.parent}:{os.environ['PATH']}"
        # One group for all that is started here.
        os.setpgid(0, 0)
        service = subprocess.Popen([hallpass], cwd="service")
        wait_for("127.0.0.1", 8000)
        os.environ["HALLPASS_DATA_DIR"] = str(Path("service/data").resolve())
        try:
            walk(page, Shell())
            if command:
                subprocess.run(command, check=True)
            print(f"{page.name} works")
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            os.killpg(0, signal.SIGTERM)
            service.wait(timeout=60)


if __name__ == "__main__":
    signal.signal(signal.SIGALRM, out_of_time)
    main()
